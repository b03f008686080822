/*
 * A load driver for whole and for streamed answers.
 *
 *     load PORT PATH CONNECTIONS SECONDS RAMP_MS BODY_FILE NEEDLE [HEADER...]
 *
 * Keeps CONNECTIONS keep-alive connections to 127.0.0.1 busy, each with one request at a time, for SECONDS; their first
 * requests are spread over RAMP_MS. After that nothing new is asked, but what is under way is waited for (at most
 * DRAIN_S), so that every request asked is a request answered, and a ledger can be checked against it.
 *
 * An answer is good only with status 200, a complete body and NEEDLE in it ([DONE] for a stream). It prints one JSON
 * object: `answered` and `events` count everything until the end of the drain; `rps` and `events_s` only what came within
 * SECONDS; latencies are in microseconds. Anything in bad_status, no_needle or lost spoils the figure.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DRAIN_S = 10, MAX_HEAD = 16384, MAX_SPOILED = 1000 };
enum framing { BY_LENGTH, BY_CHUNKS, BY_CLOSE };
enum chunk { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

typedef struct {
    int fd, busy;
    char head[MAX_HEAD];
    size_t head_length;
    int in_body, status, close_after, trailer_length;
    enum framing framing;
    enum chunk chunk;
    long long left;                        /* bytes left of the body or of the chunk */
    size_t matched_event, matched_needle;  /* how much of either has been seen just now */
    int has_needle;
    long long asked_us, first_event_us;
} Connection;

typedef struct { int *values; size_t length, size; } Samples;

static const char EVENT[] = "data:";
static const char *needle;
static size_t needle_length;
static int epoll_fd, port;
static char *request;
static size_t request_length;
static long long answered, answered_in_time, events, events_in_time, bad_status, no_needle, lost;
static int last_bad_status, in_time = 1;
static Samples first_event, whole;

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void note(Samples *samples, long long value) {
    if (samples->length == samples->size) {
        samples->size = samples->size ? samples->size * 2 : 65536;
        samples->values = realloc(samples->values, samples->size * sizeof *samples->values);
    }
    samples->values[samples->length++] = (int)value;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int quantile(Samples *samples, double q) {
    if (!samples->length) return -1;
    qsort(samples->values, samples->length, sizeof *samples->values, ascending);
    return samples->values[(size_t)(q * (double)(samples->length - 1))];
}

static void hang_up(Connection *c) {
    close(c->fd);
    c->fd = -1;
}

static void ask(Connection *c) {
    if (c->fd < 0) {
        int one = 1;
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (void *)&address, sizeof address)) { perror("load: connect"); exit(1); }
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    }
    c->head_length = c->matched_event = c->matched_needle = 0;
    c->in_body = c->has_needle = c->close_after = c->trailer_length = 0;
    c->first_event_us = 0;
    c->asked_us = now_us();
    c->busy = 1;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) {
        hang_up(c);
        c->busy = 0;
        lost++;
    }
}

/* Counts events and looks for the needle; either may be split over reads. Neither repeats its first byte inside. */
static void look_at(Connection *c, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char b = bytes[i];
        c->matched_event = b == EVENT[c->matched_event] ? c->matched_event + 1 : b == EVENT[0];
        if (c->matched_event == sizeof EVENT - 1) {
            c->matched_event = 0;
            events++;
            events_in_time += in_time;
            if (!c->first_event_us) c->first_event_us = now_us();
        }
        if (c->has_needle) continue;
        c->matched_needle = b == needle[c->matched_needle] ? c->matched_needle + 1 : b == needle[0];
        if (c->matched_needle == needle_length) c->has_needle = 1;
    }
}

/* Reads the head's last line break; returns 1 when the answer ends with it. */
static int end_head(Connection *c) {
    char *field;
    c->in_body = 1;
    c->status = atoi(c->head + 9);
    c->close_after = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->framing = BY_CLOSE;
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->framing = BY_CHUNKS;
        c->chunk = CHUNK_SIZE;
        c->left = 0;
    } else if ((field = strcasestr(c->head, "\r\ncontent-length:"))) {
        c->framing = BY_LENGTH;
        c->left = atoll(field + 17);
        return c->left == 0;
    }
    return 0;
}

/* Takes bytes of an answer; returns 1 when it is complete. */
static int take(Connection *c, const char *bytes, size_t length) {
    while (length) {
        if (!c->in_body) {
            if (c->head_length == MAX_HEAD - 1) return 1;
            c->head[c->head_length++] = *bytes++;
            c->head[c->head_length] = 0;
            length--;
            if (c->head_length >= 4 && !memcmp(c->head + c->head_length - 4, "\r\n\r\n", 4) && end_head(c)) return 1;
            continue;
        }
        if (c->framing == BY_CHUNKS && c->chunk != CHUNK_DATA) {
            char b = *bytes++;
            length--;
            if (c->chunk == CHUNK_SIZE) {
                if (b == '\n') c->chunk = c->left ? CHUNK_DATA : TRAILER;
                else if (b != '\r') c->left = c->left * 16 + (b <= '9' ? b - '0' : (b | 32) - 'a' + 10);
            } else if (c->chunk == CHUNK_END) {
                if (b == '\n') c->chunk = CHUNK_SIZE;
            } else if (b == '\n') {
                if (!c->trailer_length) return 1;
                c->trailer_length = 0;
            } else if (b != '\r') c->trailer_length++;
            continue;
        }
        size_t part = c->framing == BY_CLOSE || length < (size_t)c->left ? length : (size_t)c->left;
        look_at(c, bytes, part);
        bytes += part;
        length -= part;
        c->left -= (long long)part;
        if (c->framing != BY_CLOSE && !c->left) {
            if (c->framing == BY_LENGTH) return 1;
            c->chunk = CHUNK_END;
        }
    }
    return 0;
}

static void judge(Connection *c) {
    if (c->status != 200) { bad_status++; last_bad_status = c->status; }
    else if (!c->has_needle) no_needle++;
    else {
        answered++;
        answered_in_time += in_time;
        note(&whole, now_us() - c->asked_us);
        if (c->first_event_us) note(&first_event, c->first_event_us - c->asked_us);
    }
}

static void write_request(const char *path, const char *body_file, char **headers, int count) {
    char *body = malloc(1 << 20);
    FILE *file = fopen(body_file, "r");
    if (!file) { perror(body_file); exit(2); }
    size_t length = fread(body, 1, 1 << 20, file), size = length + 16384;
    fclose(file);
    request = malloc(size);
    request_length = (size_t)snprintf(request, size,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", path, port, length);
    for (int i = 0; i < count; i++)
        request_length += (size_t)snprintf(request + request_length, size - request_length - length, "%s\r\n", headers[i]);
    request_length += (size_t)snprintf(request + request_length, size - request_length - length, "\r\n");
    memcpy(request + request_length, body, length);
    request_length += length;
    free(body);
}

int main(int argc, char **argv) {
    if (argc < 8) {
        fprintf(stderr, "usage: load PORT PATH CONNECTIONS SECONDS RAMP_MS BODY_FILE NEEDLE [HEADER...]\n");
        return 2;
    }
    int count = atoi(argv[3]), started = 0, busy = 0;
    long long duration_us = (long long)(atof(argv[4]) * 1e6), ramp_us = (long long)(atof(argv[5]) * 1e3);
    port = atoi(argv[1]);
    needle = argv[7];
    needle_length = strlen(needle);
    write_request(argv[2], argv[6], argv + 8, argc - 8);
    Connection *connections = calloc((size_t)count, sizeof *connections);
    epoll_fd = epoll_create1(0);
    static char buffer[1 << 18];
    struct epoll_event ready[256];
    long long start_us = now_us(), end_us = start_us + duration_us;
    for (;;) {
        long long now = now_us();
        for (; started < count && now >= start_us + ramp_us * started / count && now < end_us; started++) {
            connections[started].fd = -1;
            ask(&connections[started]);
        }
        if (now >= end_us) in_time = 0;
        busy = 0;
        if (!in_time)
            for (int i = 0; i < started; i++) busy += connections[i].busy;
        if ((!in_time && !busy) || now > end_us + DRAIN_S * 1000000LL || bad_status + lost > MAX_SPOILED) break;
        long long until = in_time ? end_us : end_us + DRAIN_S * 1000000LL;
        if (started < count && in_time) until = start_us + ramp_us * started / count;
        int n = epoll_wait(epoll_fd, ready, 256, until > now ? (int)((until - now) / 1000 + 1) : 0);
        for (int i = 0; i < n; i++) {
            Connection *c = ready[i].data.ptr;
            ssize_t got = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (in_time && now_us() >= end_us) in_time = 0;
            int complete = got > 0 ? take(c, buffer, (size_t)got) : c->busy && c->in_body && c->framing == BY_CLOSE;
            if (complete) judge(c);
            else if (got <= 0 && c->busy) lost++;
            if (got <= 0 || (complete && c->close_after)) hang_up(c);
            if (complete || got <= 0) {
                c->busy = 0;
                if (in_time) ask(c);
            }
        }
    }
    for (int i = 0; i < started; i++) lost += connections[i].busy;
    double seconds = (double)duration_us / 1e6;
    printf("{\"answered\":%lld,\"events\":%lld,\"seconds\":%.3f,\"rps\":%.2f,\"events_s\":%.1f,"
           "\"whole_p50_us\":%d,\"whole_p99_us\":%d,\"first_event_p50_us\":%d,\"first_event_p99_us\":%d,"
           "\"bad_status\":%lld,\"last_bad_status\":%d,\"no_needle\":%lld,\"lost\":%lld}\n",
           answered, events, seconds, (double)answered_in_time / seconds, (double)events_in_time / seconds,
           quantile(&whole, .5), quantile(&whole, .99), quantile(&first_event, .5), quantile(&first_event, .99),
           bad_status, last_bad_status, no_needle, lost);
    return 0;
}
