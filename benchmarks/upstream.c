/*
 * A stand-in for an OpenAI-compatible vendor, so cheap that it is never what limits a measurement.
 *
 *     upstream PORT LIFETIME_S      (PORT 0: any free one; the port is printed as the first line)
 *
 * One thread, epoll, keep-alive, 127.0.0.1 only; it ends by itself after LIFETIME_S seconds.
 *
 *     POST .../chat/completions     one JSON answer of about 600 bytes; with "stream":true in the body an event stream of
 *                                   EVENTS chunks and [DONE], each event an HTTP chunk and a write() of its own
 *     GET  /set?answer_us=N&event_us=N    delay before an answer, delay between the events of a stream
 *     GET  /stats                         how many requests of each kind came, how many were refused
 *
 * It answers 401 unless the request carries the vendor's key, so that a gateway that forgets to swap keys is found out.
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
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, MAX_CONNECTIONS = 4096, MAX_REQUEST = 1 << 20 };

typedef struct { char *bytes; size_t length; } Text;

typedef struct {
    int fd;                 /* -1: the slot is free */
    char *in;               /* bytes of requests not yet answered */
    size_t in_length, in_size;
    char *out;              /* bytes the socket would not take yet */
    size_t out_length, out_size;
    int answering;          /* a request is being answered; further input waits */
    const Text *answer;     /* the whole answer, or NULL: a stream */
    int next_event;
    long long due_us;       /* when to go on; 0: not waiting */
} Connection;

static const char KEY[] = "Bearer sk-upstream";
static Connection connections[MAX_CONNECTIONS];
static int epoll_fd, highest = -1, waiting;
static long long answer_us, event_us, count_whole, count_stream, count_refused;
static Text whole, refused, missing, stats, stream_head, events[EVENTS + 1];

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void set_answer(Text *text, const char *status, const char *body) {
    free(text->bytes);
    text->length = (size_t)asprintf(&text->bytes,
        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
}

static void write_script(void) {
    set_answer(&whole, "200 OK",
        "{\"id\":\"chatcmpl-0123456789abcdefghijklmnop\",\"object\":\"chat.completion\",\"created\":1730000000,"
        "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
        "\"狐狸跳过了懒狗。The quick brown fox jumps over the lazy dog, and the dog goes on sleeping in the sun "
        "as if nothing had happened.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":31,\"total_tokens\":55,\"prompt_tokens_details\":"
        "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"}");
    set_answer(&refused, "401 Unauthorized", "{\"error\":{\"message\":\"not the vendor's key\"}}");
    set_answer(&missing, "404 Not Found", "{\"error\":{\"message\":\"no such path\"}}");
    stream_head.length = (size_t)asprintf(&stream_head.bytes,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i <= EVENTS; i++) {
        char body[160], event[512];
        if (i == 0)
            strcpy(body, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]");
        else if (i == EVENTS - 2)
            strcpy(body, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]");
        else if (i == EVENTS - 1)
            strcpy(body, "\"choices\":[],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":61,\"total_tokens\":85}");
        else
            snprintf(body, sizeof body, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]",
                     i % 2 ? " brown" : "狐狸");
        if (i == EVENTS)
            strcpy(event, "data: [DONE]\n\n");
        else
            snprintf(event, sizeof event,
                     "data: {\"id\":\"chatcmpl-0123456789abcdefghijklmnop\",\"object\":\"chat.completion.chunk\","
                     "\"created\":1730000000,\"model\":\"mock\",\"system_fingerprint\":\"fp_0123456789\",%s}\n\n", body);
        events[i].length = (size_t)asprintf(&events[i].bytes, "%zx\r\n%s\r\n%s", strlen(event), event,
                                            i == EVENTS ? "0\r\n\r\n" : "");
    }
}

static void close_connection(Connection *c) {
    if (c->due_us) { c->due_us = 0; waiting--; }
    close(c->fd);
    c->fd = -1;
    c->in_length = c->out_length = 0;
    c->answering = 0;
}

static void watch(Connection *c, int for_writing) {
    struct epoll_event e = { .events = EPOLLIN | (for_writing ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void put(Connection *c, const Text *text) {
    const char *bytes = text->bytes;
    size_t length = text->length;
    if (c->fd < 0) return;
    if (!c->out_length) {
        ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) { close_connection(c); return; }
        if (sent > 0) { bytes += sent; length -= (size_t)sent; }
        if (!length) return;
        watch(c, 1);
    }
    if (c->out_length + length > c->out_size) {
        c->out_size = (c->out_length + length) * 2;
        c->out = realloc(c->out, c->out_size);
    }
    memcpy(c->out + c->out_length, bytes, length);
    c->out_length += length;
}

static void put_waiting(Connection *c) {
    ssize_t sent = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
    if (sent < 0) { if (errno != EAGAIN) close_connection(c); return; }
    c->out_length -= (size_t)sent;
    memmove(c->out, c->out + sent, c->out_length);
    if (!c->out_length) watch(c, 0);
}

static void go_on_at(Connection *c, long long when_us) {
    c->due_us = when_us;
    waiting++;
}

/* Sends what is due: the whole answer, the next event of a paced stream, or a stream to its end. */
static void go_on(Connection *c, long long when_us) {
    if (c->answer) {
        put(c, c->answer);
    } else {
        if (!c->next_event) put(c, &stream_head);
        do put(c, &events[c->next_event++]);
        while (c->next_event <= EVENTS && !event_us && c->fd >= 0);
        if (c->fd >= 0 && c->next_event <= EVENTS) { go_on_at(c, when_us + event_us); return; }
    }
    c->answering = 0;
}

static long long number_after(const char *line, const char *name, long long otherwise) {
    const char *at = strstr(line, name);
    return at ? atoll(at + strlen(name)) : otherwise;
}

/* Answers one request; `head` is a C string, `body` another. */
static void answer(Connection *c, const char *head, const char *body) {
    char line[256];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(head, "\r\n"), head);
    c->answering = 1;
    c->next_event = 0;
    if (strstr(line, " /set?") || strstr(line, " /stats")) {
        char text[256];
        answer_us = number_after(line, "answer_us=", answer_us);
        event_us = number_after(line, "event_us=", event_us);
        snprintf(text, sizeof text, "{\"whole\":%lld,\"streams\":%lld,\"refused\":%lld,\"answer_us\":%lld,\"event_us\":%lld}",
                 count_whole, count_stream, count_refused, answer_us, event_us);
        set_answer(&stats, "200 OK", text);
        c->answer = &stats;
        go_on(c, 0);
        return;
    }
    if (!strstr(line, "/chat/completions")) { c->answer = &missing; count_refused++; }
    else if (!strstr(head, KEY)) { c->answer = &refused; count_refused++; }
    else if (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true")) { c->answer = NULL; count_stream++; }
    else { c->answer = &whole; count_whole++; }
    if (answer_us) go_on_at(c, now_us() + answer_us);
    else go_on(c, now_us());
}

/* Takes whole requests off the input, one at a time. */
static void take_requests(Connection *c) {
    while (c->fd >= 0 && !c->answering && c->in_length) {
        c->in[c->in_length] = 0;
        char *end = strstr(c->in, "\r\n\r\n");
        if (!end) return;
        end[2] = 0;
        char *field = strcasestr(c->in, "\r\ncontent-length:");
        size_t head_length = (size_t)(end - c->in) + 4, body_length = field ? (size_t)atoll(field + 17) : 0;
        end[2] = '\r';
        if (head_length + body_length > c->in_length) return;
        char after = c->in[head_length + body_length];
        end[2] = c->in[head_length + body_length] = 0;
        answer(c, c->in, c->in + head_length);
        if (c->fd < 0) return;
        c->in[head_length + body_length] = after;
        c->in_length -= head_length + body_length;
        memmove(c->in, c->in + head_length + body_length, c->in_length);
    }
}

static void read_from(Connection *c) {
    if (c->in_size - c->in_length < 16384) {
        if (c->in_size >= MAX_REQUEST) { close_connection(c); return; }
        c->in_size = c->in_size ? c->in_size * 2 : 65536;
        c->in = realloc(c->in, c->in_size);
    }
    ssize_t got = recv(c->fd, c->in + c->in_length, c->in_size - c->in_length - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { close_connection(c); return; }
    c->in_length += (size_t)got;
    take_requests(c);
}

static void accept_from(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1, slot = 0;
    if (fd < 0) return;
    while (slot < MAX_CONNECTIONS && connections[slot].fd >= 0) slot++;
    if (slot == MAX_CONNECTIONS) { close(fd); return; }
    if (slot > highest) highest = slot;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[slot].fd = fd;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &connections[slot] };
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

/* Goes on with every connection whose time has come, and sets the alarm clock for the next one. */
static void run_timers(int clock) {
    if (!waiting) return;
    long long now = now_us(), soonest = 0;
    for (int i = 0; i <= highest; i++) {
        Connection *c = &connections[i];
        if (c->due_us && c->due_us <= now) {
            long long due = c->due_us;
            c->due_us = 0;
            waiting--;
            go_on(c, due);
            take_requests(c);
        }
        if (c->due_us && (!soonest || c->due_us < soonest)) soonest = c->due_us;
    }
    if (!soonest) return;
    /* epoll's own timeout counts whole milliseconds, which would make events of many streams arrive in step. */
    struct itimerspec at = { .it_value = { .tv_sec = soonest / 1000000, .tv_nsec = soonest % 1000000 * 1000 } };
    timerfd_settime(clock, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: upstream PORT LIFETIME_S\n"); return 2; }
    alarm((unsigned)atoi(argv[2]));
    write_script();
    for (int i = 0; i < MAX_CONNECTIONS; i++) connections[i].fd = -1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, size) || listen(listener, 1024)) { perror("upstream"); return 1; }
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(0);
    int clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL }, ready[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    e.events = EPOLLIN | EPOLLET;
    e.data.ptr = &waiting;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clock, &e);
    for (;;) {
        run_timers(clock);
        int n = epoll_wait(epoll_fd, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            Connection *c = ready[i].data.ptr;
            if (!c) accept_from(listener);
            else if ((void *)c != &waiting) {
                if (c->fd >= 0 && ready[i].events & EPOLLOUT) put_waiting(c);
                if (c->fd >= 0 && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_from(c);
            }
        }
    }
}
