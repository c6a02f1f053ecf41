/* The little HTTP/1.1 that the load generator and the mock upstream share: growable buffers, header look-up and an
 * incremental decoder for content-length, chunked and until-close bodies. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HEAD_LIMIT (64 * 1024)
#define BODY_LIMIT (64u * 1024 * 1024)

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- growable bytes ---------------------------------------------------------------------------------------------- */
typedef struct {
    char *at;
    size_t used, room;
} Bytes;

static inline void bytes_reserve(Bytes *b, size_t more) {
    if (b->used + more <= b->room) return;
    size_t room = b->room ? b->room : 4096;
    while (room < b->used + more) room *= 2;
    b->at = realloc(b->at, room);
    if (!b->at) die("realloc");
    b->room = room;
}

static inline void bytes_add(Bytes *b, const char *from, size_t n) {
    if (n == 0) return;
    bytes_reserve(b, n);
    memcpy(b->at + b->used, from, n);
    b->used += n;
}

static inline void bytes_drop(Bytes *b, size_t n) {
    if (n == 0) return;
    memmove(b->at, b->at + n, b->used - n);
    b->used -= n;
}

static inline int bytes_has(const Bytes *b, const char *needle) {
    return memmem(b->at ? b->at : "", b->used, needle, strlen(needle)) != NULL;
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

/* The length of a complete head, blank line included, or 0. */
static inline size_t head_length(const Bytes *b) {
    const char *end = b->used ? memmem(b->at, b->used, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - b->at) + 4 : 0;
}

/* The value of a header inside a head (not terminated; its length in *n), or NULL. */
static inline const char *header(const char *head, size_t length, const char *name, size_t *n) {
    size_t wanted = strlen(name);
    const char *line = memchr(head, '\n', length), *end = head + length;
    while (line && ++line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) return NULL;
        if ((size_t)(stop - line) > wanted && line[wanted] == ':' && strncasecmp(line, name, wanted) == 0) {
            const char *value = line + wanted + 1, *last = stop;
            while (value < last && (*value == ' ' || *value == '\t')) value++;
            while (last > value && isspace((unsigned char)last[-1])) last--;
            *n = (size_t)(last - value);
            return value;
        }
        line = stop;
    }
    return NULL;
}

static inline int header_is(const char *head, size_t length, const char *name, const char *value) {
    size_t n = 0;
    const char *found = header(head, length, name, &n);
    return found && n == strlen(value) && strncasecmp(found, value, n) == 0;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */
typedef enum { BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE } BodyKind;
typedef enum { AT_SIZE, IN_EXTENSION, IN_DATA, AFTER_DATA, IN_TRAILER } ChunkState;

typedef struct {
    BodyKind kind;
    ChunkState state;
    uint64_t left;        /* bytes left of the body, or of the chunk */
    size_t trailer_line;  /* length of the trailer line we are in */
    int digits, done;
} Body;

/* How the body after this head is framed; without any framing it is empty, or lasts until close. */
static inline Body body_after(const char *head, size_t length, BodyKind unframed) {
    Body body = {.kind = unframed};
    size_t n = 0;
    const char *value = header(head, length, "content-length", &n);
    if (header_is(head, length, "transfer-encoding", "chunked")) {
        body.kind = BODY_CHUNKED;
    } else if (value) {
        body.kind = BODY_LENGTH;
        body.left = strtoull(value, NULL, 10);
    }
    if (body.kind == BODY_LENGTH && body.left == 0) body.done = 1;
    return body;
}

/* One framing byte of a chunked body. Returns 0 when it cannot be one. */
static inline int chunk_byte(Body *body, char c) {
    switch (body->state) {
        case AT_SIZE:
            if (isxdigit((unsigned char)c) && body->digits < 15) {
                body->left = body->left * 16 + (uint64_t)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
                body->digits++;
                return 1;
            }
            if (!body->digits || (c != '\r' && c != '\n' && c != ';' && c != ' ')) return 0;
            body->state = IN_EXTENSION;
            if (c != '\n') return 1;
            /* fall through */
        case IN_EXTENSION:
            if (c == '\n') {
                body->state = body->left ? IN_DATA : IN_TRAILER;
                body->trailer_line = 0;
            }
            return 1;
        case AFTER_DATA:
            if (c == '\n') {
                body->state = AT_SIZE;
                body->left = 0;
                body->digits = 0;
            }
            return c == '\n' || c == '\r';
        case IN_TRAILER:
            if (c == '\n') {
                if (body->trailer_line == 0) body->done = 1;
                body->trailer_line = 0;
            } else if (c != '\r') {
                body->trailer_line++;
            }
            return 1;
        default:
            return 0;
    }
}

/* Decode from raw into out. Returns how many raw bytes were eaten, or -1 on broken framing. */
static inline ssize_t body_eat(Body *body, const char *raw, size_t n, Bytes *out) {
    size_t at = 0;
    if (out->used + n > BODY_LIMIT) return -1;
    while (at < n && !body->done) {
        int plain = body->kind != BODY_CHUNKED || body->state == IN_DATA;
        if (!plain) {
            if (!chunk_byte(body, raw[at++])) return -1;
            continue;
        }
        size_t take = n - at;
        if (body->kind == BODY_UNTIL_CLOSE) {
            bytes_add(out, raw + at, take);
            return (ssize_t)n;
        }
        if (take > body->left) take = (size_t)body->left;
        bytes_add(out, raw + at, take);
        at += take;
        body->left -= take;
        if (body->left == 0 && body->kind == BODY_LENGTH) body->done = 1;
        if (body->left == 0 && body->kind == BODY_CHUNKED) body->state = AFTER_DATA;
    }
    return (ssize_t)at;
}

#endif
