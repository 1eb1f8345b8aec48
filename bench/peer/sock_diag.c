// The limit that the socket pipeline is measured against: the same requests, the replies walked, nothing kept.
//   sock_diag hold SOCKETS PROCESSES   opens established loopback TCP sockets, prints "ready", lives until stdin closes
//   sock_diag dump COUNT               dumps COUNT times, prints the CPU of one dump in us and the sockets of the last
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TCPDIAG_GETSOCK 18
#define DUMP (NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH)

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void hold_pairs(int pairs) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  for (int i = 0; i < pairs; i++) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address)) die("connect");
    int server = accept(listener, NULL, NULL);
    if (server < 0) die("accept");
    if (write(client, "hello", 5) != 5) die("write");
  }
}

static int hold(int sockets, int processes) {
  int ready[2], stop[2];
  if (pipe(ready) || pipe(stop)) die("pipe");
  for (int i = 0; i < processes; i++) {
    if (fork() == 0) {
      char byte = 0;
      close(stop[1]);
      hold_pairs(sockets / 2 / processes);
      if (write(ready[1], "r", 1) != 1) die("write");
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

static int dump(int fd, char *buffer, int size) {
  struct { struct nlmsghdr header; struct inet_diag_req body; } tcp = {
      .header = {.nlmsg_len = sizeof tcp, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = DUMP},
      .body = {.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1), .idiag_states = 0xfff & ~(1 << 6)}};
  if (send(fd, &tcp, sizeof tcp, 0) < 0) die("send");
  int sockets = walk(fd, buffer, size);
  for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
    struct { struct nlmsghdr header; struct inet_diag_req_v2 body; } udp = {
        .header = {.nlmsg_len = sizeof udp, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = DUMP},
        .body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_UDP, .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1), .idiag_states = 1 << 7}};
    if (send(fd, &udp, sizeof udp, 0) < 0) die("send");
    sockets += walk(fd, buffer, size);
  }
  return sockets;
}

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "hold")) return hold(atoi(argv[2]), atoi(argv[3]));
  if (argc != 3 || strcmp(argv[1], "dump")) return 2;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), count = atoi(argv[2]), sockets = 0;
  static char buffer[32768] __attribute__((aligned(8)));
  if (fd < 0) die("socket");
  for (int i = 0; i < 3; i++) dump(fd, buffer, sizeof buffer);
  double start = cpu();
  for (int i = 0; i < count; i++) sockets = dump(fd, buffer, sizeof buffer);
  printf("%.1f %d\n", (cpu() - start) / count, sockets);
  return sink == 0;
}
