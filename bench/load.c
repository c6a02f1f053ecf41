/* The load generator of the benchmark: one thread, epoll, keep-alive, HTTP/1.1 on loopback.
 *   load --port N --path /v1/chat/completions --body FILE [--headers FILE] --connections C --needle TEXT
 *        (--seconds S | --count N) [--rate R [--arrivals poisson|fixed] [--seed N]] [--stream --events N] [--timeout S]
 * Closed loop without --rate: every connection asks again as soon as it was answered. Open loop with it: requests are
 * due at their scheduled times, wait for a free connection when all are busy, and their latency counts from the schedule.
 * Every answer is checked: status 200 and the needle; streams also the number of events and [DONE]. Headers come from a
 * file so that no key shows in the process list. After the window what is in flight is awaited. Prints one JSON object. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http.h"

#define MAX_CONNECTIONS 4096
#define ERRORS_ENOUGH 20 /* the run is void already: stop asking */

typedef struct {
    int fd, busy, watching_out;
    size_t sent;
    int64_t due, first_event;
    Bytes in, body;
    size_t head, scanned;
    Body framing;
    int events, done_seen, needle_seen;
} Connection;

typedef struct {
    float *at;
    size_t used, room;
} Samples;

static struct {
    const char *path, *body, *headers, *needle;
    int port, connections, stream, events, fixed;
    int64_t count;
    double seconds, rate, timeout;
    unsigned seed;
} ask = {.path = "/", .needle = "", .connections = 1, .timeout = 30, .seed = 1};

static Connection connections[MAX_CONNECTIONS];
static int idle[MAX_CONNECTIONS], idle_count, epoll_fd, timer_fd;
static Bytes request;
static Samples latencies, first_events;
static int64_t started, ends, last_done, next_due;
static int64_t issued, ok, ok_in_window, errors, events_in_window, events_total, reconnects, backlog, backlog_most;
static int64_t *waiting; /* open loop: due times that found every connection busy, a ring */
static size_t waiting_head, waiting_room = 1 << 20;
static char first_error[600];

/* ---- results ------------------------------------------------------------------------------------------------------- */
static void note_sample(Samples *s, int64_t ns) {
    if (s->used == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->at = realloc(s->at, s->room * sizeof *s->at);
        if (!s->at) die("realloc");
    }
    s->at[s->used++] = (float)((double)ns / 1e6);
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Nearest rank, of sorted samples. */
static double quantile(const Samples *s, double q) {
    if (!s->used) return 0;
    size_t rank = (size_t)ceil(q * (double)s->used);
    return s->at[rank ? rank - 1 : 0];
}

static double mean(const Samples *s) {
    double sum = 0;
    for (size_t i = 0; i < s->used; i++) sum += s->at[i];
    return s->used ? sum / (double)s->used : 0;
}

static void print_text(const char *text) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') printf("\\%c", *text);
        else if ((unsigned char)*text < 32 || (unsigned char)*text > 126) printf(" ");
        else putchar(*text);
    }
}

static void print_results(void) {
    double window = (double)(ends - started) / 1e9;
    if (ask.count) window = (double)(last_done - started) / 1e9;
    if (window <= 0) window = 1e-9;
    qsort(latencies.at, latencies.used, sizeof *latencies.at, by_size);
    qsort(first_events.at, first_events.used, sizeof *first_events.at, by_size);
    printf("{\"ok\": %ld, \"errors\": %ld, \"issued\": %ld, \"seconds\": %.6f, \"rps\": %.3f, \"chunks\": %ld, "
           "\"chunks_s\": %.3f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"mean_ms\": %.4f, \"ttft_p50_ms\": %.4f, "
           "\"ttft_p99_ms\": %.4f, \"reconnects\": %ld, \"backlog_most\": %ld, \"first_error\": \"",
           (long)ok, (long)errors, (long)issued, window, (double)ok_in_window / window, (long)events_total,
           (double)events_in_window / window, quantile(&latencies, 0.5), quantile(&latencies, 0.99), mean(&latencies),
           quantile(&first_events, 0.5), quantile(&first_events, 0.99), (long)reconnects, (long)backlog_most);
    print_text(first_error);
    printf("\"}\n");
}

/* ---- connections --------------------------------------------------------------------------------------------------- */
static void forget_answer(Connection *c) {
    c->in.used = c->body.used = c->head = c->scanned = c->sent = 0;
    c->events = c->done_seen = c->needle_seen = 0;
    c->first_event = 0;
}

static void hang_up(Connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

/* Blocking, on loopback, two seconds at most. Returns 0 when nobody takes the call. */
static int dial(Connection *c) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)ask.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {2, 0};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return 0;
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&at, sizeof at) < 0) {
        hang_up(c);
        return 0;
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->watching_out = 0;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
    return 1;
}

static void free_up(Connection *c) {
    c->busy = 0;
    idle[idle_count++] = (int)(c - connections);
}

static void note_error(const char *what, const Connection *c) {
    errors++;
    if (first_error[0]) return;
    int length = (int)(c->body.used < 300 ? c->body.used : 300);
    int head = (int)(c->head > 40 ? 40 : c->head);
    snprintf(first_error, sizeof first_error, "%s; head: %.*s; body: %.*s", what, head, c->in.at ? c->in.at : "", length,
             c->body.at ? c->body.at : "");
}

static void fail(Connection *c, const char *what) {
    note_error(what, c);
    hang_up(c);
    free_up(c);
}

static int push_out(Connection *c) {
    ssize_t n = send(c->fd, request.at + c->sent, request.used - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return 0;
    if (n > 0) c->sent += (size_t)n;
    int out = c->sent < request.used;
    if (out != c->watching_out) {
        c->watching_out = out;
        struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e) < 0) die("epoll_ctl");
    }
    return 1;
}

static void issue(Connection *c, int64_t due) {
    forget_answer(c);
    c->busy = 1;
    c->due = due;
    issued++;
    if (c->fd < 0) {
        reconnects++;
        if (!dial(c)) {
            fail(c, "connect failed");
            return;
        }
    }
    if (!push_out(c)) fail(c, "send failed");
}

/* ---- checking answers ---------------------------------------------------------------------------------------------- */
static void scan_line(Connection *c, const char *line, size_t n) {
    if (n && line[n - 1] == '\r') n--;
    if (n < 5 || memcmp(line, "data:", 5) != 0) return;
    const char *text = line + 5;
    n -= 5;
    while (n && *text == ' ') text++, n--;
    int64_t now = now_ns();
    if (!c->first_event) c->first_event = now;
    if (n == 6 && memcmp(text, "[DONE]", 6) == 0) {
        c->done_seen = 1;
        return;
    }
    c->events++;
    events_total++;
    if (ask.count || now <= ends) events_in_window++;
    if (memmem(text, n, ask.needle, strlen(ask.needle))) c->needle_seen = 1;
}

static void scan_events(Connection *c) {
    const char *end = c->body.at + c->body.used, *at = c->body.at + c->scanned, *stop;
    while (at < end && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        scan_line(c, at, (size_t)(stop - at));
        at = stop + 1;
    }
    c->scanned = (size_t)(at - c->body.at);
}

static const char *fault_of(Connection *c) {
    static char text[80];
    if (c->in.used < 12 || memcmp(c->in.at + 8, " 200", 4) != 0) return "status is not 200";
    if (!ask.stream) return bytes_has(&c->body, ask.needle) ? NULL : "the answer lacks what it should hold";
    if (!c->done_seen) return "the stream ended without [DONE]";
    if (ask.events && c->events != ask.events) {
        snprintf(text, sizeof text, "the stream had %d events, not %d", c->events, ask.events);
        return text;
    }
    return c->needle_seen ? NULL : "no event of the stream holds what one should";
}

static void complete(Connection *c) {
    const char *fault = fault_of(c);
    if (fault) {
        fail(c, fault);
        return;
    }
    last_done = now_ns();
    ok++;
    if (ask.count || last_done <= ends) ok_in_window++;
    note_sample(&latencies, last_done - c->due);
    if (c->first_event) note_sample(&first_events, c->first_event - c->due);
    if (c->framing.kind == BODY_UNTIL_CLOSE || header_is(c->in.at, c->head, "connection", "close")) hang_up(c);
    free_up(c);
}

/* The head stays at the front of `in`; what follows is decoded at once. */
static void take_in(Connection *c, int closed) {
    if (!c->head) {
        if (!(c->head = head_length(&c->in))) {
            if (closed || c->in.used > HEAD_LIMIT) fail(c, "connection closed before an answer");
            return;
        }
        c->framing = body_after(c->in.at, c->head, BODY_UNTIL_CLOSE);
    }
    ssize_t eaten = body_eat(&c->framing, c->in.at + c->head, c->in.used - c->head, &c->body);
    if (eaten < 0) {
        fail(c, "broken framing");
        return;
    }
    if (c->framing.done && (size_t)eaten < c->in.used - c->head) {
        fail(c, "bytes after the end of the answer");
        return;
    }
    c->in.used = c->head;
    if (ask.stream) scan_events(c);
    if (closed && c->framing.kind == BODY_UNTIL_CLOSE) c->framing.done = 1;
    if (c->framing.done) complete(c);
    else if (closed) fail(c, "connection closed within an answer");
}

static void readable(Connection *c) {
    bytes_reserve(&c->in, 65536);
    ssize_t n = recv(c->fd, c->in.at + c->in.used, 65536, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (!c->busy) { /* the server closed an idle connection, which is its right; it may not talk unasked */
        hang_up(c);
        if (n > 0) note_error("bytes nobody asked for", c);
        return;
    }
    if (n < 0) {
        fail(c, strerror(errno));
        return;
    }
    c->in.used += (size_t)n;
    take_in(c, n == 0);
    if (n == 0) hang_up(c);
}

/* ---- when to ask --------------------------------------------------------------------------------------------------- */
static int may_issue(int64_t now) {
    if (errors >= ERRORS_ENOUGH) return 0;
    return ask.count ? issued + backlog < ask.count : now < ends;
}

static int64_t interval(void) {
    double mean_ns = 1e9 / ask.rate;
    return (int64_t)(ask.fixed ? mean_ns : -log(1.0 - drand48()) * mean_ns);
}

static void schedule_arrivals(int64_t now) {
    while (next_due <= now && (ask.count || next_due < ends) && may_issue(next_due)) {
        if (backlog == (int64_t)waiting_room) die("backlog");
        waiting[(waiting_head + (size_t)backlog++) % waiting_room] = next_due;
        next_due += interval();
    }
    while (backlog && idle_count && errors < ERRORS_ENOUGH) {
        int64_t due = waiting[waiting_head];
        waiting_head = (waiting_head + 1) % waiting_room;
        backlog--;
        issue(&connections[idle[--idle_count]], due);
    }
    if (errors >= ERRORS_ENOUGH) backlog = 0;
    if (backlog > backlog_most) backlog_most = backlog;
    if (!may_issue(now)) return;
    struct itimerspec when = {.it_value = {next_due / 1000000000, next_due % 1000000000}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) die("timerfd_settime");
}

static void ask_more(int64_t now) {
    if (ask.rate > 0) {
        schedule_arrivals(now);
        return;
    }
    while (idle_count && may_issue(now)) issue(&connections[idle[--idle_count]], now_ns());
}

static void expire(int64_t now) {
    static int64_t looked;
    if (now - looked < 100000000) return;
    looked = now;
    for (int i = 0; i < ask.connections; i++)
        if (connections[i].busy && (double)(now - connections[i].due) > ask.timeout * 1e9) fail(&connections[i], "timeout");
}

static void run(void) {
    struct epoll_event ready[512];
    started = last_done = now_ns();
    ends = ask.count ? INT64_MAX : started + (int64_t)(ask.seconds * 1e9);
    next_due = started;
    for (int64_t now = started; ; now = now_ns()) {
        ask_more(now);
        expire(now);
        if (idle_count == ask.connections && !backlog && !may_issue(now)) return;
        int n = epoll_wait(epoll_fd, ready, 512, 100);
        for (int i = 0; i < n; i++) {
            Connection *c = ready[i].data.ptr;
            uint64_t fired;
            if (!c) {
                if (read(timer_fd, &fired, sizeof fired) < 0 && errno != EAGAIN) die("timerfd");
                continue;
            }
            if (c->fd >= 0 && c->busy && ready[i].events & EPOLLOUT && !push_out(c)) {
                fail(c, "send failed");
                continue;
            }
            if (c->fd >= 0 && ready[i].events & ~(uint32_t)EPOLLOUT) readable(c);
        }
    }
}

/* ---- start --------------------------------------------------------------------------------------------------------- */
static void add_file(Bytes *b, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) bytes_add(b, block, n);
    fclose(file);
}

/* The headers file holds whole lines, each ended by a newline; they are sent with CRLF. */
static void make_request(void) {
    Bytes body = {0}, extra = {0};
    char line[1024];
    if (ask.body) add_file(&body, ask.body);
    if (ask.headers) add_file(&extra, ask.headers);
    int n = snprintf(line, sizeof line,
                     "%s %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\naccept: */*\r\n"
                     "content-length: %zu\r\n", ask.body ? "POST" : "GET", ask.path, ask.port, body.used);
    bytes_add(&request, line, (size_t)n);
    for (size_t at = 0; at < extra.used; at++) {
        if (extra.at[at] == '\n') bytes_add(&request, "\r\n", 2);
        else if (extra.at[at] != '\r') bytes_add(&request, extra.at + at, 1);
    }
    bytes_add(&request, "\r\n", 2);
    bytes_add(&request, body.at, body.used);
}

static int take_option(const char *name, const char *value) {
    if (!strcmp(name, "--port")) ask.port = atoi(value);
    else if (!strcmp(name, "--path")) ask.path = value;
    else if (!strcmp(name, "--body")) ask.body = value;
    else if (!strcmp(name, "--headers")) ask.headers = value;
    else if (!strcmp(name, "--needle")) ask.needle = value;
    else if (!strcmp(name, "--connections")) ask.connections = atoi(value);
    else if (!strcmp(name, "--seconds")) ask.seconds = atof(value);
    else if (!strcmp(name, "--count")) ask.count = atol(value);
    else if (!strcmp(name, "--rate")) ask.rate = atof(value);
    else if (!strcmp(name, "--arrivals")) ask.fixed = !strcmp(value, "fixed");
    else if (!strcmp(name, "--seed")) ask.seed = (unsigned)atoi(value);
    else if (!strcmp(name, "--events")) ask.events = atoi(value);
    else if (!strcmp(name, "--timeout")) ask.timeout = atof(value);
    else return 0;
    return 1;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--stream")) ask.stream = 1;
        else if (i + 1 == argc || !take_option(argv[i], argv[i + 1])) die(argv[i]);
        else i++;
    }
    if (!ask.port || ask.connections < 1 || ask.connections > MAX_CONNECTIONS || (!ask.count && ask.seconds <= 0))
        die("needs --port, --connections 1..4096, and --seconds or --count");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    srand48(ask.seed);
    make_request();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event tick = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &tick) < 0) die("epoll_ctl");
    if (ask.rate > 0 && !(waiting = malloc(waiting_room * sizeof *waiting))) die("malloc");
    for (int i = 0; i < ask.connections; i++) connections[i].fd = -1;
    for (int i = ask.connections - 1; i >= 0; i--) {
        if (!dial(&connections[i])) note_error("connect failed", &connections[i]);
        free_up(&connections[i]);
    }
    if (!errors) run();
    ends = ends ? ends : started + 1;
    print_results();
    return 0;
}
