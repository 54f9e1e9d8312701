/* Certificates for the tests, made on the spot. */
#ifndef TESTS_CERTS_H
#define TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

static void pair_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX v3;
    X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
    assert_non_null(x);
    X509_add_ext(cert, x, -1);
    X509_EXTENSION_free(x);
}

/* `san` as in openssl.cnf: "DNS:a.test,IP:127.0.0.1"; NULL: an authority. `issuer` NULL:
 * self-signed. */
static struct pair pair_make(const char *cn, const char *san, const struct pair *issuer,
                             long from_s, long until_s)
{
    static long serial = 1;
    struct pair p = {X509_new(), EVP_EC_gen("P-256")};
    assert_non_null(p.key);
    X509_set_version(p.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), until_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(p.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    X509 *by = issuer ? issuer->cert : p.cert;
    X509_set_issuer_name(p.cert, X509_get_subject_name(by));
    X509_set_pubkey(p.cert, p.key);
    if (san) {
        pair_extend(p.cert, by, NID_subject_alt_name, san);
    } else {
        pair_extend(p.cert, by, NID_basic_constraints, "critical,CA:TRUE");
        pair_extend(p.cert, by, NID_key_usage, "critical,keyCertSign");
    }
    assert_true(X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()) > 0);
    return p;
}

static void pair_free(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    *p = (struct pair){0};
}

/* Writes DIR/NAME.pem and DIR/NAME.key, the key under a passphrase when there is one. */
static void pair_save(const struct pair *p, const char *dir, const char *name, char *passphrase)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.pem", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, p->cert), 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/%s.key", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, p->key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0,
                                          NULL, passphrase),
                     1);
    fclose(f);
}

#endif
