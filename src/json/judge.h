/* Beside json/scan.h: the judgement of all texts of a document at once, in one pass that knows nothing of
 * structure.
 *
 * What json_scan() asks more than json_scan_members() concerns the insides of strings only: that they are
 * UTF-8, hold no control characters, and are rightly escaped. Neither backslashes nor bytes above 0x7F can
 * stand anywhere else in what json_scan_members() accepts, so whether all of them are good can be told
 * without knowing where a string begins. Control characters can (white space), so a document that holds one
 * is left to the scan. */
#ifndef JSON_JUDGE_H
#define JSON_JUDGE_H

#include "base/str.h"

/* True: if json_scan_members() accepts the document, json_scan() does. False: nothing is known. */
bool json_texts_are_good(struct str doc);

#endif
