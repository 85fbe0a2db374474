/*
 * Hashes: MurmurHash2 as in nginx, FNV-1a, SHA-256.
 */

#include "llm_hash.h"

#define LLM_SHA256_BLOCK  64


/* The whole words of *s; what is left of it is shorter than one. */
static inline uint32_t
llm_murmur2_words(uint32_t h, llm_str_t *s)
{
    uint32_t              k;
    const unsigned char  *p;

    p = s->data;

    for ( /* void */ ; s->len >= 4; s->len -= 4, p += 4) {
        k = (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
            | (uint32_t) p[3] << 24;

        k *= 0x5bd1e995;
        k ^= k >> 24;
        k *= 0x5bd1e995;

        h *= 0x5bd1e995;
        h ^= k;
    }

    s->data = p;

    return h;
}


/* Up to three bytes that are left, and the finish. */
static inline uint32_t
llm_murmur2_tail(uint32_t h, llm_str_t s)
{
    if (s.len) {
        if (s.len == 3) {
            h ^= (uint32_t) s.data[2] << 16;
        }
        if (s.len >= 2) {
            h ^= (uint32_t) s.data[1] << 8;
        }
        h ^= s.data[0];
        h *= 0x5bd1e995;
    }

    h ^= h >> 13;
    h *= 0x5bd1e995;
    h ^= h >> 15;

    return h;
}


uint32_t
llm_murmur2(llm_str_t s)
{
    uint32_t  h;

    h = llm_murmur2_words((uint32_t) s.len, &s);

    return llm_murmur2_tail(h, s);
}


uint32_t
llm_murmur2_two(llm_str_t a, llm_str_t b)
{
    size_t         n;
    uint32_t       h;
    llm_str_t      joint;
    unsigned char  word[4];

    h = llm_murmur2_words((uint32_t) (a.len + b.len), &a);

    if (a.len) {

        /* a word that begins in a and ends in b */

        memcpy(word, a.data, a.len);

        n = sizeof(word) - a.len;
        n = n < b.len ? n : b.len;

        if (n) {
            memcpy(word + a.len, b.data, n);
            b.data += n;
            b.len -= n;
        }

        joint = (llm_str_t) { a.len + n, word };
        h = llm_murmur2_words(h, &joint);

        if (joint.len) {
            return llm_murmur2_tail(h, joint);
        }
    }

    h = llm_murmur2_words(h, &b);

    return llm_murmur2_tail(h, b);
}


uint64_t
llm_fnv64(llm_str_t s, uint64_t seed)
{
    size_t    i;
    uint64_t  h;

    h = 0xcbf29ce484222325u ^ seed;

    for (i = 0; i < s.len; i++) {
        h ^= s.data[i];
        h *= 0x100000001b3u;
    }

    return h;
}


static inline uint32_t
llm_sha256_rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}


/* The 64 words of a block's schedule. */
static void
llm_sha256_schedule(const unsigned char *p, uint32_t *w)
{
    size_t    i;
    uint32_t  s0, s1;

    for (i = 0; i < 16; i++, p += 4) {
        w[i] = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
               | (uint32_t) p[2] << 8 | (uint32_t) p[3];
    }

    for (; i < 64; i++) {
        s0 = llm_sha256_rotate(w[i - 15], 7) ^ llm_sha256_rotate(w[i - 15], 18)
             ^ w[i - 15] >> 3;
        s1 = llm_sha256_rotate(w[i - 2], 17) ^ llm_sha256_rotate(w[i - 2], 19)
             ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}


static void
llm_sha256_block(uint32_t *state, const unsigned char *p)
{
    size_t    i;
    uint32_t  a, b, c, d, e, f, g, h, t1, t2, w[64];

    static const uint32_t  k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
        0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
        0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
    };

    llm_sha256_schedule(p, w);

    a = state[0];
    b = state[1];
    c = state[2];
    d = state[3];
    e = state[4];
    f = state[5];
    g = state[6];
    h = state[7];

    for (i = 0; i < 64; i++) {
        t1 = h + k[i] + w[i] + ((e & f) ^ (~e & g))
             + (llm_sha256_rotate(e, 6) ^ llm_sha256_rotate(e, 11)
                ^ llm_sha256_rotate(e, 25));
        t2 = ((a & b) ^ (a & c) ^ (b & c))
             + (llm_sha256_rotate(a, 2) ^ llm_sha256_rotate(a, 13)
                ^ llm_sha256_rotate(a, 22));

        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }

    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}


void
llm_sha256(llm_str_t s, unsigned char out[32])
{
    size_t         i, left, tail_n;
    uint64_t       bits;
    unsigned char  tail[2 * LLM_SHA256_BLOCK];
    uint32_t       state[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
    };

    bits = (uint64_t) s.len * 8;

    for (left = s.len; left >= LLM_SHA256_BLOCK; left -= LLM_SHA256_BLOCK) {
        llm_sha256_block(state, s.data + (s.len - left));
    }

    /* the rest, a one bit, zeros, and the length in the last eight bytes */

    memset(tail, 0, sizeof(tail));

    if (left) {
        memcpy(tail, s.data + (s.len - left), left);
    }

    tail[left] = 0x80;
    tail_n = left < LLM_SHA256_BLOCK - 8 ? LLM_SHA256_BLOCK : sizeof(tail);

    for (i = 0; i < 8; i++) {
        tail[tail_n - 1 - i] = (unsigned char) (bits >> 8 * i);
    }

    for (i = 0; i < tail_n; i += LLM_SHA256_BLOCK) {
        llm_sha256_block(state, tail + i);
    }

    for (i = 0; i < 32; i++) {
        out[i] = (unsigned char) (state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
