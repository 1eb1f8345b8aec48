/** Kernel names and values: linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h (tcp_states.h). */

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;

/** linux/rtnetlink.h: the id of a network namespace. */
export const RTM_NEWNSID = 88;
export const RTM_GETNSID = 90;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
/** The type of a request and its replies that covers IPv4 and IPv6 in one walk of the table (TCP only). */
export const TCPDIAG_GETSOCK = 18;
export const SOCK_DIAG_BY_FAMILY = 20;

/** On any message of a dump: the table changed in a way that the walk could not make up for. */
export const NLM_F_DUMP_INTR = 0x10;
/** NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH. */
export const NLM_F_REQUEST_DUMP = 0x301;

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const AF_VSOCK = 40;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_SCTP = 132;
export const IPPROTO_RAW = 255;
export const IPPROTO_MPTCP = 262;

/** Attributes of a request. */
export const INET_DIAG_REQ_BYTECODE = 1;
export const INET_DIAG_REQ_PROTOCOL = 3;

/** Attributes of a reply. */
export const INET_DIAG_INFO = 2;
export const INET_DIAG_CONG = 4;
export const INET_DIAG_SKMEMINFO = 7;
/** The peer's addresses of an SCTP association. */
export const INET_DIAG_PEERS = 13;
export const INET_DIAG_CGROUP_ID = 21;
/** `idiag_ext` bits: 1 << (attribute - 1). */
export const EXT_INFO = 1 << (INET_DIAG_INFO - 1);
export const EXT_CONG = 1 << (INET_DIAG_CONG - 1);
export const EXT_SKMEMINFO = 1 << (INET_DIAG_SKMEMINFO - 1);
/** Indices in the u32 array of INET_DIAG_SKMEMINFO and of the MEMINFO attributes of other families. */
export const SK_MEMINFO_RMEM_ALLOC = 0;
export const SK_MEMINFO_WMEM_ALLOC = 2;
export const SK_MEMINFO_DROPS = 8;

export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_TIME_WAIT = 6;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LAST_ACK = 9;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;

/** Multicast groups of sock_diag: sockets that the kernel frees (enum sknetlink_groups). */
export const SKNLGRP_INET_TCP_DESTROY = 1;
export const SKNLGRP_INET6_TCP_DESTROY = 3;
/** The kernel's struct sock has room for these states; a set of them is a bitmap of 1 << state. */
export const ALL_STATES = 0xffff_ffff;
