/*   PREAMBLE ─ delimiter ─▶ AFTER ─ CR LF ─▶ HEADER ─ empty line ─▶ BODY ─ delimiter ─▶ AFTER ...
 *                             └─ "--" ─▶ EPILOGUE                                             */
#include "http/multipart.h"

#include <errno.h>

enum state { PREAMBLE, AFTER, AFTER_DASH, AFTER_CR, HEADER, BODY, EPILOGUE };

/* One parameter off a header value: ; name=token or ; name="quoted". False: none is left. */
static bool take_parameter(struct str *rest, struct str *name, struct str *value, bool *ret_bad)
{
    ptrdiff_t semicolon = str_chr(*rest, ';');
    if (semicolon < 0) {
        return false;
    }
    *rest = str_from(*rest, (size_t)semicolon + 1);
    ptrdiff_t equals = str_chr(*rest, '=');
    if (equals < 0) {
        *ret_bad = str_trim(*rest).n > 0;
        return false;
    }
    *name = str_trim(str_first(*rest, (size_t)equals));
    *rest = str_from(*rest, (size_t)equals + 1);
    while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t')) {
        *rest = str_from(*rest, 1);
    }
    if (rest->n == 0 || rest->p[0] != '"') {
        ptrdiff_t end = str_chr(*rest, ';');
        *value = str_trim(end < 0 ? *rest : str_first(*rest, (size_t)end));
        *rest = str_from(*rest, end < 0 ? rest->n : (size_t)end);
        return true;
    }
    size_t i = 1;
    while (i < rest->n && rest->p[i] != '"') {
        i += rest->p[i] == '\\' ? 2 : 1;
    }
    *ret_bad = i >= rest->n;
    *value = str_make(rest->p + 1, (i < rest->n ? i : rest->n) - 1);
    *rest = str_from(*rest, i + 1);
    return true;
}

int multipart_start(struct multipart *m, struct str content_type, struct str field)
{
    struct str name, value, boundary = {0};
    bool bad = false;
    while (take_parameter(&content_type, &name, &value, &bad)) {
        if (str_ieq(name, STR("boundary")) && boundary.p == NULL) {
            boundary = value;
        } else if (str_ieq(name, STR("boundary"))) {
            bad = true;
        }
    }
    if (bad || boundary.n == 0 || boundary.n > MULTIPART_BOUNDARY_MAX ||
        str_chr(boundary, '\\') >= 0 || str_chr(boundary, '\r') >= 0) {
        return -EINVAL;
    }
    *m = (struct multipart){.field = field, ._delimiter_n = (uint32_t)boundary.n + 4};
    memcpy(m->_delimiter, "\r\n--", 4);
    memcpy(m->_delimiter + 4, boundary.p, boundary.n);
    m->_matched = 2; /* the first delimiter may stand at the very beginning */
    return 0;
}

static int refuse(struct multipart *m, const char *why)
{
    m->error = why;
    return -EBADMSG;
}

/* Content-Disposition of the part whose header is complete. */
static int read_disposition(struct multipart *m, struct str value)
{
    struct str name, v;
    bool bad = false, named = false, file = false;
    while (take_parameter(&value, &name, &v, &bad)) {
        if (str_ieq(name, STR("name"))) {
            bad = bad || named;
            named = true;
            m->_is_field = str_eq(v, m->field);
            bad = bad || str_chr(v, '\\') >= 0 || str_chr(v, '%') >= 0;
        } else if (str_ieq(name, STR("name*"))) {
            bad = true;
        } else if (str_istarts(name, STR("filename"))) {
            file = true;
        }
    }
    if (bad) {
        return refuse(m, "the name of a part is malformed or stands there twice");
    }
    if (m->_is_field && (file || m->found)) {
        return refuse(m, m->found ? "the field stands there twice" : "the field comes as a file");
    }
    return 0;
}

static int read_header(struct multipart *m)
{
    struct str all = str_make(m->_header, m->_header_n), line;
    bool seen = false;
    m->_is_field = false;
    while (all.n) {
        str_cut(&all, '\n', &line);
        if (line.n && line.p[line.n - 1] == '\r') {
            line.n--;
        }
        if (line.n && (line.p[0] == ' ' || line.p[0] == '\t')) {
            return refuse(m, "a part has a folded header line");
        }
        if (str_istarts(line, STR("content-disposition:"))) {
            if (seen) {
                return refuse(m, "a part has two Content-Disposition lines");
            }
            seen = true;
            if (read_disposition(m, str_from(line, 20)) < 0) {
                return -EBADMSG;
            }
        }
    }
    return 0;
}

static int on_header_byte(struct multipart *m, char c)
{
    if (m->_header_n == MULTIPART_HEADER_MAX) {
        return refuse(m, "the header of a part is too long");
    }
    m->_header[m->_header_n++] = c;
    struct str h = str_make(m->_header, m->_header_n);
    bool empty = str_eq(h, STR("\r\n"));
    if (!empty && !str_ends(h, STR("\r\n\r\n"))) {
        return 0;
    }
    if (read_header(m) < 0) {
        return -EBADMSG;
    }
    m->_state = BODY;
    m->_matched = 0;
    if (m->_is_field) {
        m->value_at = m->at;
    }
    return 0;
}

/* A whole delimiter has come by. */
static int on_delimiter(struct multipart *m)
{
    if (m->_state == BODY && m->_is_field) {
        uint64_t n = m->at - m->_delimiter_n - m->value_at;
        if (n == 0 || n > MULTIPART_VALUE_MAX) {
            return refuse(m, "the field's value is empty or too long");
        }
        m->value_n = (uint32_t)n;
        m->found = true;
    }
    m->_state = AFTER;
    return 0;
}

static int on_byte(struct multipart *m, char c)
{
    m->at++;
    switch ((enum state)m->_state) {
    case PREAMBLE:
    case BODY:
        /* The delimiter holds CR only at its beginning, so a mismatch starts over at once. */
        m->_matched = c == m->_delimiter[m->_matched] ? m->_matched + 1 : c == '\r';
        if (m->_matched == m->_delimiter_n) {
            return on_delimiter(m);
        }
        if (m->_is_field && m->at - m->value_at > MULTIPART_VALUE_MAX + m->_delimiter_n) {
            return refuse(m, "the field's value is too long");
        }
        return 0;
    case AFTER:
        if (c == '-' || c == '\r') {
            m->_state = c == '-' ? AFTER_DASH : AFTER_CR;
            return 0;
        }
        return c == ' ' || c == '\t' ? 0 : refuse(m, "a delimiter is followed by other text");
    case AFTER_DASH:
        m->_state = EPILOGUE;
        m->ended = true;
        return c == '-' ? 0 : refuse(m, "a delimiter is followed by other text");
    case AFTER_CR:
        m->_state = HEADER;
        m->_header_n = 0;
        return c == '\n' ? 0 : refuse(m, "a delimiter is followed by other text");
    case HEADER:
        return on_header_byte(m, c);
    case EPILOGUE:
        return 0;
    }
    return 0;
}

int multipart_feed(struct multipart *m, struct str piece)
{
    const char *p = piece.p, *end = piece.p + piece.n;
    if (m->error) {
        return -EBADMSG;
    }
    while (p < end) {
        if (m->_state == EPILOGUE) {
            m->at += (uint64_t)(end - p);
            return 0;
        }
        if (m->_state == BODY && m->_matched == 0 && !m->_is_field) {
            /* Inside a file only a CR matters. */
            const char *cr = memchr(p, '\r', (size_t)(end - p));
            m->at += (uint64_t)((cr ? cr : end) - p);
            p = cr ? cr : end;
            if (p == end) {
                return 0;
            }
        }
        if (on_byte(m, *p++) < 0) {
            return -EBADMSG;
        }
    }
    return 0;
}

struct str multipart_delimiter(const struct multipart *m)
{
    return str_make(m->_delimiter, m->_delimiter_n);
}
