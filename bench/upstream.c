/* The mock upstream of the benchmark: one thread, epoll, keep-alive. Answers any POST with a fixed chat completion (at
 * once or after --delay-ms), and a POST whose body holds "stream":true with 23 server-sent events --gap-ms apart.
 * Prints {"port": N} when it listens; ends with its parent, on SIGTERM, or after --lifetime seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http.h"

#define DELTAS 22
#define EVENTS (DELTAS + 1) /* and the usage chunk, which carries [DONE] behind it */
#define MAX_FD 20000
#define USAGE "\"usage\":{\"prompt_tokens\":182,\"completion_tokens\":20,\"total_tokens\":202}"
#define TEXT                                                                                                          \
    "Loopback answers are short of surprises, which is what a benchmark asks of them: the same bytes for every caller, " \
    "in the same order, after the same wait, so that whatever differs between two systems was added by the systems "     \
    "themselves. This paragraph exists to give the answer the size of a typical short completion, about one kilobyte "  \
    "with its envelope, and it says nothing else of any importance to anybody who reads it on the way through. Twenty "  \
    "tokens are claimed for it below, and nobody should count them."

typedef enum { READING, WAITING, STREAMING } State;

typedef struct {
    int open, close_after;
    uint32_t generation; /* a timer set for an earlier connection on this descriptor is stale */
    State state;
    Bytes in, body, out;
    size_t head;
    Body framing;
    int event;
    int watching_out;
} Connection;

typedef struct {
    int64_t due;
    int fd;
    uint32_t generation;
} Timer;

static Connection connections[MAX_FD];
static Timer *heap;
static size_t heap_used, heap_room;
static int epoll_fd, timer_fd;
static int64_t delay_ns, gap_ns = 2000000;
static Bytes answer, models, not_found, stream_head, events[EVENTS];

/* ---- timers: a binary heap by due time ----------------------------------------------------------------------------- */
static void heap_swap(size_t a, size_t b) {
    Timer kept = heap[a];
    heap[a] = heap[b];
    heap[b] = kept;
}

static void heap_push(int64_t due, int fd) {
    if (heap_used == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap) die("realloc");
    }
    size_t at = heap_used++;
    heap[at] = (Timer){due, fd, connections[fd].generation};
    while (at && heap[(at - 1) / 2].due > heap[at].due) {
        heap_swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static Timer heap_pop(void) {
    Timer first = heap[0];
    heap[0] = heap[--heap_used];
    for (size_t at = 0;;) {
        size_t least = at, left = 2 * at + 1;
        for (size_t child = left; child < left + 2 && child < heap_used; child++)
            if (heap[child].due < heap[least].due) least = child;
        if (least == at) return first;
        heap_swap(at, least);
        at = least;
    }
}

static void arm(void) {
    static int64_t armed;
    int64_t due = heap_used ? heap[0].due : 0;
    if (due == armed) return;
    armed = due;
    struct itimerspec when = {.it_value = {due / 1000000000, due % 1000000000}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */
static void add_text(Bytes *b, const char *text) { bytes_add(b, text, strlen(text)); }

static void make_json(Bytes *b, const char *status, const char *json) {
    char head[256];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", status,
             strlen(json));
    add_text(b, head);
    add_text(b, json);
}

static void make_event(Bytes *b, int index) {
    static const char opening[] =
        "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
        "\"model\":\"bench\",\"choices\":[";
    char text[640], chunk[704];
    if (index == 0)
        snprintf(text, sizeof text, "%s{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n", opening);
    else if (index < DELTAS - 1)
        snprintf(text, sizeof text, "%s{\"index\":0,\"delta\":{\"content\":\" word%02d\"},\"finish_reason\":null}]}\n\n", opening, index);
    else if (index == DELTAS - 1)
        snprintf(text, sizeof text, "%s{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", opening);
    else
        snprintf(text, sizeof text, "%s]," USAGE "}\n\ndata: [DONE]\n\n", opening);
    snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n%s", strlen(text), text, index == EVENTS - 1 ? "0\r\n\r\n" : "");
    add_text(b, chunk);
}

static void make_answers(void) {
    make_json(&answer, "200 OK",
              "{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\","
              "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" TEXT
              "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE
              ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}");
    make_json(&models, "200 OK",
              "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"bench\"}]}");
    make_json(&not_found, "404 Not Found", "{\"error\":{\"message\":\"no such path\",\"type\":\"invalid_request_error\"}}");
    add_text(&stream_head,
             "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
             "transfer-encoding: chunked\r\n\r\n");
    for (int i = 0; i < EVENTS; i++) make_event(&events[i], i);
}

/* ---- connections --------------------------------------------------------------------------------------------------- */
static void drop(int fd) {
    Connection *c = &connections[fd];
    c->open = 0;
    c->generation++;
    close(fd);
}

static void watch(int fd, int out) {
    Connection *c = &connections[fd];
    if (c->watching_out == out) return;
    c->watching_out = out;
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e) < 0) die("epoll_ctl");
}

/* Write now what the socket takes and keep the rest. Returns 0 when the connection is gone. */
static int send_bytes(int fd, const char *at, size_t n) {
    Connection *c = &connections[fd];
    ssize_t sent = 0;
    if (c->out.used == 0) {
        sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            drop(fd);
            return 0;
        }
        if (sent < 0) sent = 0;
    }
    bytes_add(&c->out, at + sent, n - (size_t)sent);
    watch(fd, c->out.used > 0);
    return 1;
}

static int flush_out(int fd) {
    Connection *c = &connections[fd];
    ssize_t sent = send(fd, c->out.at, c->out.used, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop(fd);
        return 0;
    }
    if (sent > 0) bytes_drop(&c->out, (size_t)sent);
    watch(fd, c->out.used > 0);
    return 1;
}

static void ready_for_next(int fd) {
    Connection *c = &connections[fd];
    c->state = READING;
    c->head = 0;
    c->body.used = 0;
    if (c->close_after) drop(fd);
}

static int wants_stream(const Bytes *body) {
    static const char key[] = "\"stream\"";
    const char *at = body->at, *end = body->at + body->used;
    while (at && (at = memmem(at, (size_t)(end - at), key, sizeof key - 1))) {
        const char *next = at + sizeof key - 1;
        int escaped = at > body->at && at[-1] == '\\';
        while (next < end && isspace((unsigned char)*next)) next++;
        if (!escaped && next < end && *next == ':') {
            do next++;
            while (next < end && isspace((unsigned char)*next));
            return end - next >= 4 && memcmp(next, "true", 4) == 0;
        }
        at += sizeof key - 1;
    }
    return 0;
}

static void send_event(int fd, int64_t due) {
    Connection *c = &connections[fd];
    const Bytes *event = &events[c->event++];
    if (!send_bytes(fd, event->at, event->used)) return;
    if (c->event == EVENTS) {
        ready_for_next(fd);
        return;
    }
    int64_t now = now_ns(), next = due + gap_ns;
    heap_push(next > now ? next : now, fd);
}

/* The request's wait is over: the whole answer, or the first event of a stream. */
static void answer_request(int fd, int64_t due) {
    Connection *c = &connections[fd];
    if (!wants_stream(&c->body)) {
        if (send_bytes(fd, answer.at, answer.used)) ready_for_next(fd);
        return;
    }
    c->state = STREAMING;
    c->event = 0;
    if (send_bytes(fd, stream_head.at, stream_head.used)) send_event(fd, due);
}

static void request_complete(int fd) {
    Connection *c = &connections[fd];
    const char *line = c->in.at;
    int post = strncmp(line, "POST ", 5) == 0;
    int lists_models = strncmp(line, "GET ", 4) == 0 && memmem(line, c->head, "/models", 7) != NULL;
    c->close_after = header_is(line, c->head, "connection", "close");
    bytes_drop(&c->in, c->head);
    c->state = WAITING;
    if (!post) {
        const Bytes *fixed = lists_models ? &models : &not_found;
        if (send_bytes(fd, fixed->at, fixed->used)) ready_for_next(fd);
    } else if (delay_ns) {
        heap_push(now_ns() + delay_ns, fd);
    } else {
        answer_request(fd, now_ns());
    }
}

/* The head stays at the front of `in` until the request is complete; body bytes behind it are decoded as they come. */
static void advance(int fd) {
    Connection *c = &connections[fd];
    while (c->open && c->state == READING && c->in.used) {
        if (!c->head) {
            if (!(c->head = head_length(&c->in))) {
                if (c->in.used > HEAD_LIMIT) drop(fd);
                return;
            }
            c->framing = body_after(c->in.at, c->head, BODY_LENGTH);
        }
        ssize_t eaten = body_eat(&c->framing, c->in.at + c->head, c->in.used - c->head, &c->body);
        if (eaten < 0) {
            drop(fd);
            return;
        }
        memmove(c->in.at + c->head, c->in.at + c->head + eaten, c->in.used - c->head - (size_t)eaten);
        c->in.used -= (size_t)eaten;
        if (!c->framing.done) return;
        request_complete(fd);
    }
}

static void readable(int fd) {
    Connection *c = &connections[fd];
    bytes_reserve(&c->in, 65536);
    ssize_t n = recv(fd, c->in.at + c->in.used, 65536, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    c->in.used += (size_t)n;
    advance(fd);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0) return;
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = &connections[fd];
        c->open = 1;
        c->state = READING;
        c->in.used = c->body.used = c->out.used = c->head = 0;
        c->watching_out = c->close_after = 0;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
    }
}

static void run_due(void) {
    int64_t now = now_ns();
    while (heap_used && heap[0].due <= now) {
        Timer t = heap_pop();
        Connection *c = &connections[t.fd];
        if (!c->open || c->generation != t.generation) continue;
        if (c->state == WAITING)
            answer_request(t.fd, t.due);
        else if (c->state == STREAMING)
            send_event(t.fd, t.due);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 4096) < 0) die("listen");
    getsockname(fd, (struct sockaddr *)&at, &n);
    printf("{\"port\": %d}\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void prepare_process(unsigned lifetime) {
    struct rlimit files = {MAX_FD, MAX_FD};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    alarm(lifetime);
}

int main(int argc, char **argv) {
    int port = 0;
    unsigned lifetime = 3600;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--delay-ms")) delay_ns = (int64_t)(atof(argv[i + 1]) * 1e6);
        else if (!strcmp(argv[i], "--gap-ms")) gap_ns = (int64_t)(atof(argv[i + 1]) * 1e6);
        else if (!strcmp(argv[i], "--lifetime")) lifetime = (unsigned)atoi(argv[i + 1]);
        else die(argv[i]);
    }
    prepare_process(lifetime);
    make_answers();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int listener = listen_on(port);
    for (int i = 0; i < 2; i++) {
        int fd = i ? timer_fd : listener;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
    }
    for (struct epoll_event ready[512];;) {
        arm();
        int n = epoll_wait(epoll_fd, ready, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
            } else if (fd == timer_fd) {
                uint64_t fired;
                if (read(timer_fd, &fired, sizeof fired) < 0 && errno != EAGAIN) die("timerfd");
            } else {
                if (ready[i].events & EPOLLOUT && connections[fd].open && !flush_out(fd)) continue;
                if (ready[i].events & ~(uint32_t)EPOLLOUT && connections[fd].open) readable(fd);
            }
        }
        run_due();
    }
}
