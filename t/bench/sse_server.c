/*
 * A provider that streams, for the benchmark: answers every POST with a chunked
 * event stream of EVENTS content events, a finish, the usage and [DONE].
 *
 * One write per event, connections in turn: while many streams are open, each
 * event reaches the gateway alone, as tokens do, and not fifty in one read.
 * One thread, epoll, no file, no delay.
 *
 * Usage: sse_server PORT EVENTS [messages]; the last for Anthropic's events
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SSE_CONNECTIONS  4096
#define SSE_EVENTS       1024

#define SSE_CHUNK                                                             \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","  \
    "\"created\":1790000000,\"model\":\"bench-1\",\"system_fingerprint\":"    \
    "\"fp_0123456789\",\"choices\":[%s]%s}\n\n"

#define SSE_DELTA                                                             \
    "{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}"

static char    pieces[SSE_EVENTS][512];
static size_t  lengths[SSE_EVENTS];
static int     pieces_n;

typedef struct {
    int     fd;
    int     next;                       /* piece to send, -1: reading */
    int     slot;                       /* in `busy`, -1: not there */
    size_t  used;
    size_t  body;                       /* bytes of body still to come */
    int     in_body;
    char    head[8192];
} conn_t;

static conn_t  *conns[SSE_CONNECTIONS];
static conn_t  *busy[SSE_CONNECTIONS];
static int      busy_n;


static void
add_piece(const char *payload)
{
    int  n;

    n = snprintf(pieces[pieces_n], sizeof(pieces[0]), "%zx\r\n%s\r\n",
                 strlen(payload), payload);
    lengths[pieces_n++] = (size_t) n;
}


static void
add_event(const char *delta, const char *finish, const char *usage)
{
    char  choice[256], event[480];

    snprintf(choice, sizeof(choice), SSE_DELTA, delta, finish);
    snprintf(event, sizeof(event), SSE_CHUNK, usage[0] ? "" : choice, usage);
    add_piece(event);
}


static void
make_pieces(int events)
{
    char  delta[64];

    lengths[0] = (size_t) snprintf(pieces[0], sizeof(pieces[0]),
                                   "HTTP/1.1 200 OK\r\n"
                                   "Content-Type: text/event-stream\r\n"
                                   "Transfer-Encoding: chunked\r\n\r\n");
    pieces_n = 1;

    add_event("\"role\":\"assistant\",\"content\":\"\"", "null", "");

    for (int i = 0; i < events; i++) {
        snprintf(delta, sizeof(delta), "\"content\":\" token%d\"", i);
        add_event(delta, "null", "");
    }

    add_event("", "\"stop\"", "");
    add_event("", "null", ",\"usage\":{\"prompt_tokens\":420,"
              "\"completion_tokens\":50,\"total_tokens\":470}");
    add_piece("data: [DONE]\n\n");

    memcpy(pieces[pieces_n], "0\r\n\r\n", 5);
    lengths[pieces_n++] = 5;
}


static void
add_message(const char *type, const char *rest)
{
    char  event[480];

    snprintf(event, sizeof(event), "event: %s\ndata: {\"type\":\"%s\"%s}\n\n",
             type, type, rest);
    add_piece(event);
}


static void
make_messages(int events)
{
    char  rest[128];

    /* behind the head */
    pieces_n = 1;

    add_message("message_start", ",\"message\":{\"id\":\"msg_bench\","
                "\"type\":\"message\",\"role\":\"assistant\","
                "\"model\":\"bench-1\",\"content\":[],\"usage\":"
                "{\"input_tokens\":420,\"output_tokens\":1}}");
    add_message("content_block_start", ",\"index\":0,\"content_block\":"
                "{\"type\":\"text\",\"text\":\"\"}");

    for (int i = 0; i < events; i++) {
        snprintf(rest, sizeof(rest), ",\"index\":0,\"delta\":{\"type\":"
                 "\"text_delta\",\"text\":\" token%d\"}", i);
        add_message("content_block_delta", rest);
    }

    add_message("content_block_stop", ",\"index\":0");
    add_message("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},"
                "\"usage\":{\"output_tokens\":50}");
    add_message("message_stop", "");

    memcpy(pieces[pieces_n], "0\r\n\r\n", 5);
    lengths[pieces_n++] = 5;
}


static void
drop(conn_t *c)
{
    if (c->slot >= 0) {
        busy[c->slot] = busy[--busy_n];
        busy[c->slot]->slot = c->slot;
    }

    conns[c->fd] = NULL;
    close(c->fd);
    free(c);
}


static void
begin_answer(conn_t *c)
{
    c->used = 0;
    c->in_body = 0;
    c->next = 0;
    c->slot = busy_n;
    busy[busy_n++] = c;
}


/* Takes what arrived; the body is only counted. */
static void
take(conn_t *c, size_t n)
{
    char    *end, *length;
    size_t   rest;

    if (c->in_body) {
        c->body -= n < c->body ? n : c->body;

    } else {
        c->used += n;
        c->head[c->used] = '\0';

        end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) {
            return;
        }

        length = strcasestr(c->head, "\r\ncontent-length:");
        c->body = length ? strtoul(length + 17, NULL, 10) : 0;
        rest = c->used - (size_t) (end + 4 - c->head);
        c->body -= rest < c->body ? rest : c->body;
        c->in_body = 1;
    }

    if (c->body == 0) {
        begin_answer(c);
    }
}


static void
readable(conn_t *c)
{
    static char  waste[65536];
    ssize_t      n;

    for ( ;; ) {
        if (c->in_body) {
            n = recv(c->fd, waste, sizeof(waste), 0);
        } else {
            n = recv(c->fd, c->head + c->used,
                     sizeof(c->head) - 1 - c->used, 0);
        }

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0) {
            drop(c);
            return;
        }

        take(c, (size_t) n);
    }
}


static void
send_next(conn_t *c)
{
    ssize_t  n;

    n = send(c->fd, pieces[c->next], lengths[c->next], MSG_NOSIGNAL);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n != (ssize_t) lengths[c->next]) {
        drop(c);
        return;
    }

    if (++c->next == pieces_n) {
        busy[c->slot] = busy[--busy_n];
        busy[c->slot]->slot = c->slot;
        c->slot = c->next = -1;
    }
}


static void
accept_all(int listener, int ep)
{
    int                 fd, one = 1;
    conn_t             *c;
    struct epoll_event  ev;

    for ( ;; ) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd == -1) {
            return;
        }

        c = fd < SSE_CONNECTIONS ? calloc(1, sizeof(conn_t)) : NULL;
        if (c == NULL) {
            close(fd);
            continue;
        }

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        c->fd = fd;
        c->next = c->slot = -1;
        conns[fd] = c;

        ev.events = EPOLLIN;
        ev.data.fd = fd;
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    }
}


static int
listen_on(uint16_t port)
{
    int                 fd, one = 1;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 1024) == -1)
    {
        perror("sse_server");
        exit(1);
    }

    return fd;
}


int
main(int argc, char **argv)
{
    int                 i, n, ep, listener;
    conn_t             *c;
    struct epoll_event  ev, events[256];

    if (argc < 3 || atoi(argv[2]) + 8 > SSE_EVENTS) {
        fprintf(stderr, "usage: sse_server PORT EVENTS [messages]\n");
        return 2;
    }

    make_pieces(atoi(argv[2]));

    if (argc > 3) {
        make_messages(atoi(argv[2]));
    }

    listener = listen_on((uint16_t) atoi(argv[1]));

    ep = epoll_create1(0);
    ev.events = EPOLLIN;
    ev.data.fd = listener;
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);

    for ( ;; ) {
        n = epoll_wait(ep, events, 256, busy_n ? 0 : -1);

        for (i = 0; i < n; i++) {
            c = conns[events[i].data.fd];

            if (events[i].data.fd == listener) {
                accept_all(listener, ep);

            } else if (c != NULL) {
                readable(c);
            }
        }

        for (i = busy_n - 1; i >= 0; i--) {
            send_next(busy[i]);
        }
    }
}
