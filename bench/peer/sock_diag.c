// What the benchmarks of sockets measure with and against: loopback sockets, the same requests with the replies walked and
// nothing kept, and the CPU of other programs.
//   sock_diag hold SOCKETS PROCESSES [SELECTED PORT]
//                                      opens established loopback TCP sockets, prints "ready", lives until stdin closes;
//                                      SELECTED of them have 127.77.0.1:PORT at one end
//   sock_diag dump COUNT BYTES REQUEST...
//                                      dumps COUNT times by these requests, which are netlink messages in hex; walks BYTES
//                                      of memory before each, to empty the caches; prints the CPU of one dump of them all
//                                      in us, and the sockets of the last
//   sock_diag churn CONNECTIONS BYTES  opens loopback connections one after the other, each sends BYTES and is answered
//                                      with twice as many and one; prints what the clients sent and received, and the
//                                      servers
//   sock_diag destroyed                hears of destroyed sockets, prints "ready", and when stdin closes the sum of what
//                                      they had acknowledged and received, and how many had been connected
//   sock_diag run COUNT COMMAND...     runs a command COUNT times with its output thrown away; prints the CPU of a run in
//                                      us, and its peak of resident memory in KB
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// Ephemeral ports run out at 28,000 connections to one address and port.
#define PAIRS_OF_LISTENER 500

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void write_all(int fd, const char *data, long length) {
  for (long done = 0, wrote; done < length; done += wrote)
    if ((wrote = write(fd, data + done, length - done)) <= 0) die("write");
}

static struct sockaddr_in address_of(uint32_t ip, int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip), .sin_port = htons(port)};
}

// Port 0 is any; the address says which it became.
static int listen_at(struct sockaddr_in *address) {
  socklen_t length = sizeof *address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || bind(listener, (struct sockaddr *)address, length) || listen(listener, 4096)) die("listen");
  getsockname(listener, (struct sockaddr *)address, &length);
  return listener;
}

static int connect_to(const struct sockaddr_in *address) {
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client < 0 || connect(client, (const struct sockaddr *)address, sizeof *address)) die("connect");
  return client;
}

static void hold_pairs(struct sockaddr_in address, int pairs) {
  int listener = listen_at(&address);
  for (int i = 0; i < pairs; i++) {
    int client = connect_to(&address);
    if (accept(listener, NULL, NULL) < 0) die("accept");
    write_all(client, "hello", 5);
  }
}

static int hold(int sockets, int processes, int selected, int port) {
  struct rlimit files;
  int ready[2], stop[2];
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (pipe(ready) || pipe(stop)) die("pipe");
  for (int i = 0; i < processes; i++) {
    if (fork() == 0) {
      char byte = 0;
      close(stop[1]);
      int pairs = sockets / 2 / processes;
      if (i == 0) pairs += sockets / 2 % processes - selected / 2;
      if (i == 0 && selected) hold_pairs(address_of(0x7f4d0001, port), selected / 2);
      for (int host = 1; pairs > 0; host++, pairs -= PAIRS_OF_LISTENER)
        hold_pairs(address_of(0x7f000000 | i << 8 | host, 0), pairs < PAIRS_OF_LISTENER ? pairs : PAIRS_OF_LISTENER);
      write_all(ready[1], "r", 1);
      if (read(stop[0], &byte, 1) < 0) die("read");
      _exit(0);
    }
  }
  close(stop[0]);
  close(ready[1]);
  char byte;
  for (int i = 0; i < processes; i++)
    if (read(ready[0], &byte, 1) != 1) die("a holder failed");
  puts("ready");
  fflush(stdout);
  if (read(0, &byte, 1) < 0) die("read");
  close(stop[1]);
  while (wait(NULL) > 0)
    ;
  return 0;
}

static uint64_t sink;

static int walk(int fd, char *buffer, int size) {
  int sockets = 0;
  for (;;) {
    int length = recv(fd, buffer, size, 0);
    if (length < 0) die("recv");
    for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
      if (message->nlmsg_type == NLMSG_DONE) return sockets;
      if (message->nlmsg_type == NLMSG_ERROR) die("the dump failed");
      struct inet_diag_msg *diag = NLMSG_DATA(message);
      char *at = (char *)(diag + 1), *end = (char *)message + message->nlmsg_len;
      sink += diag->id.idiag_cookie[0];
      while (at + 4 <= end) {
        struct nlattr *attribute = (struct nlattr *)at;
        if (attribute->nla_len < 4) break;
        if (attribute->nla_type == INET_DIAG_INFO) sink += ((struct tcp_info *)(at + 4))->tcpi_rtt;
        at += NLA_ALIGN(attribute->nla_len);
      }
      sockets++;
    }
  }
}

static double cpu(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int dump(int count, long bytes, int requests, char **hex) {
  static char buffer[32768] __attribute__((aligned(8)));
  unsigned char *messages[requests];
  int lengths[requests], sockets = 0, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) die("socket");
  for (int i = 0; i < requests; i++) {
    lengths[i] = strlen(hex[i]) / 2;
    messages[i] = malloc(lengths[i]);
    for (int at = 0; at < lengths[i]; at++) sscanf(hex[i] + at * 2, "%2hhx", messages[i] + at);
  }
  double used = 0;
  volatile char *memory = malloc(bytes);
  for (int i = -3; i < count; i++) {
    for (long at = 0; at < bytes; at += 64) memory[at]++;
    double start = cpu(RUSAGE_SELF);
    sockets = 0;
    for (int at = 0; at < requests; at++) {
      if (send(fd, messages[at], lengths[at], 0) < 0) die("send");
      sockets += walk(fd, buffer, sizeof buffer);
    }
    if (i >= 0) used += cpu(RUSAGE_SELF) - start;
  }
  printf("%.1f %d\n", used / count, sockets);
  return sink == 0;
}

// Until so many bytes have come, or the end of the stream.
static long read_up_to(int fd, char *buffer, long size, long length) {
  long done = 0;
  while (done < length) {
    long got = read(fd, buffer, size < length - done ? size : length - done);
    if (got < 0) die("read");
    if (got == 0) break;
    done += got;
  }
  return done;
}

static void serve(int listener, int connections, long bytes, const char *reply, char *buffer, long size, int totals) {
  long moved[2] = {0, 0};
  for (int i = 0; i < connections; i++) {
    int server = accept(listener, NULL, NULL);
    if (server < 0) die("accept");
    moved[1] += read_up_to(server, buffer, size, bytes);
    write_all(server, reply, 2 * bytes + 1);
    moved[0] += 2 * bytes + 1;
    if (close(server)) die("close");
  }
  write_all(totals, (char *)moved, sizeof moved);
  _exit(0);
}

static int churn(int connections, long bytes) {
  struct sockaddr_in address = address_of(INADDR_LOOPBACK, 0);
  long size = 65536, sent = 0, received = 0, served[2];
  char *data = calloc(2 * bytes + 1, 1), *buffer = malloc(size);
  int listener = listen_at(&address), totals[2], status;
  if (pipe(totals)) die("pipe");
  if (fork() == 0) serve(listener, connections, bytes, data, buffer, size, totals[1]);
  close(totals[1]);
  for (int i = 0; i < connections; i++) {
    int client = connect_to(&address);
    write_all(client, data, bytes);
    sent += bytes;
    received += read_up_to(client, buffer, size, 2 * bytes + 2);
    if (close(client)) die("close");
  }
  if (read(totals[0], served, sizeof served) != sizeof served || wait(&status) < 0 || status) die("the server failed");
  printf("%ld %ld %ld %ld\n", sent, received, served[0], served[1]);
  return 0;
}

// One event is one datagram: struct tcp_info is at 100.
static int drain(int fd, char *buffer, int size, long sums[3]) {
  for (;;) {
    int length = recv(fd, buffer, size, MSG_DONTWAIT);
    if (length < 0) return errno == EAGAIN ? 0 : -1;
    struct inet_diag_msg *diag = NLMSG_DATA((struct nlmsghdr *)buffer);
    uint64_t acked, received;
    uint32_t least;
    if (length < 100 + 152 || diag->id.idiag_dport == 0) continue;
    memcpy(&acked, buffer + 100 + 120, 8);
    memcpy(&received, buffer + 100 + 128, 8);
    memcpy(&least, buffer + 100 + 148, 4);
    if (least == UINT32_MAX && acked == 0 && received == 0) continue;
    sums[0] += acked;
    sums[1] += received;
    sums[2]++;
  }
}

static int destroyed(void) {
  static char buffer[65536];
  long sums[3] = {0, 0, 0};
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), room = 64 << 20;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1 << 0 | 1 << 2};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) die("SO_RCVBUFFORCE");
  if (bind(fd, (struct sockaddr *)&address, sizeof address)) die("bind");
  puts("ready");
  fflush(stdout);
  struct pollfd both[] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  do {
    if (poll(both, 2, -1) < 0) die("poll");
    if (drain(fd, buffer, sizeof buffer, sums)) die("events were lost");
  } while (!both[0].revents);
  printf("%ld %ld %ld\n", sums[0], sums[1], sums[2]);
  return 0;
}

static int run(int count, char **command) {
  struct rusage usage;
  int status;
  for (int i = 0; i < count; i++) {
    if (fork() == 0) {
      if (dup2(open("/dev/null", O_WRONLY), 1) < 0) die("/dev/null");
      execvp(command[0], command);
      die(command[0]);
    }
    if (wait(&status) < 0 || status) die("the command failed");
  }
  getrusage(RUSAGE_CHILDREN, &usage);
  printf("%.1f %ld\n", cpu(RUSAGE_CHILDREN) / count, usage.ru_maxrss);
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 3 || (argc == 2 && !strcmp(argv[1], "destroyed")) ? argv[1] : "";
  if (!strcmp(what, "hold") && (argc == 4 || argc == 6))
    return hold(atoi(argv[2]), atoi(argv[3]), argc == 6 ? atoi(argv[4]) : 0, argc == 6 ? atoi(argv[5]) : 0);
  if (!strcmp(what, "dump")) return dump(atoi(argv[2]), atol(argv[3]), argc - 4, argv + 4);
  if (!strcmp(what, "churn") && argc == 4) return churn(atoi(argv[2]), atol(argv[3]));
  if (!strcmp(what, "destroyed")) return destroyed();
  if (!strcmp(what, "run")) return run(atoi(argv[2]), argv + 3);
  fprintf(stderr, "unknown: see the head of sock_diag.c\n");
  return 2;
}
