/* Amazon Bedrock's exceptions: errors are called by name, in the field x-amzn-errortype of an answer, and in
 * the header :exception-type of a stream's frame (there with a small first letter). */
#ifndef DIALECT_BEDROCK_H
#define DIALECT_BEDROCK_H

#include "dialect/dialect.h"

/* The name for an answer with this status: "ThrottlingException". Never empty. */
struct str bedrock_exception(unsigned status);
/* The status of an exception, either spelling; 0: there is none of that name. */
unsigned bedrock_exception_status(struct str name);

#endif
