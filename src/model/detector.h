/* What masking looks for, by name: the configuration and policy/mask.h read the same list. */
#ifndef MODEL_DETECTOR_H
#define MODEL_DETECTOR_H

/* X(name, its word in the configuration, its label in what is put in place) */
#define DETECTOR_LIST(X)                                                                           \
    X(EMAIL, "email", "EMAIL")                                                                     \
    X(PHONE, "phone", "PHONE")                                                                     \
    X(CARD, "card", "CARD")                                                                        \
    X(IBAN, "iban", "IBAN")                                                                        \
    X(SIN, "sin", "SIN")                                                                           \
    X(SSN, "ssn", "SSN")                                                                           \
    X(POSTAL, "postal_code", "POSTAL_CODE")                                                        \
    X(IP, "ip", "IP")                                                                              \
    X(SECRET, "secret", "SECRET")                                                                  \
    X(FIELD, "field", "FIELD")

/* And what users bring: their expressions and their words. */
#define MASK_KIND_LIST(X)                                                                          \
    DETECTOR_LIST(X)                                                                               \
    X(PATTERN, "pattern", "PATTERN")                                                               \
    X(WORD, "word", "WORD")

#define MASK_ENUM(name, word, label) MASK_##name,
enum mask_kind { MASK_KIND_LIST(MASK_ENUM) MASK_KINDS };
#undef MASK_ENUM

#endif
