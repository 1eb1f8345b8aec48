/** Filters of `sockets.select`, each with what it is to ss. */
export const filters: readonly { readonly select: string; readonly expression: string }[] = [
  { select: "{ include: [{ ports: [443], side: local }] }", expression: "sport = :443" },
  { select: "{ include: [{ ports: [443] }] }", expression: "sport = :443 or dport = :443" },
  { select: '{ include: [{ ports: ["400-8000"], side: remote }] }', expression: "dport >= :400 and dport <= :8000" },
  {
    select: '{ include: [{ ports: [22, "8000-9000"] }] }',
    expression:
      "sport = :22 or dport = :22 or ( sport >= :8000 and sport <= :9000 ) or ( dport >= :8000 and dport <= :9000 )",
  },
  { select: "{ include: [{ networks: [10.0.0.0/16], side: local }] }", expression: "src 10.0.0.0/16" },
  { select: "{ include: [{ networks: [10.0.0.0/8] }] }", expression: "src 10.0.0.0/8 or dst 10.0.0.0/8" },
  { select: "{ include: [{ networks: [0.0.0.0/0], side: local }] }", expression: "src 0.0.0.0/0" },
  {
    select: '{ include: [{ networks: ["::/0"], side: local }] }',
    expression: "src [::/0] and not src [::ffff:0:0/96]",
  },
  { select: '{ include: [{ networks: ["2001:db8::/32"], side: remote }] }', expression: "dst [2001:db8::/32]" },
  {
    select: '{ include: [{ addresses: [10.1.0.1, "::1"] }] }',
    expression: "src 10.1.0.1 or dst 10.1.0.1 or src [::1] or dst [::1]",
  },
  {
    select: "{ include: [{ loopback: on }] }",
    expression: "src 127.0.0.0/8 or dst 127.0.0.0/8 or src [::1] or dst [::1]",
  },
  {
    select: "{ exclude: [{ loopback: on }] }",
    expression: "not ( src 127.0.0.0/8 or dst 127.0.0.0/8 or src [::1] or dst [::1] )",
  },
  { select: "{ include: [{ loopback: off, side: local }] }", expression: "not ( src 127.0.0.0/8 or src [::1] )" },
  {
    select: "{ include: [{ ports: [443, 8443], networks: [10.0.0.0/8], side: local }] }",
    expression: "( sport = :443 or sport = :8443 ) and src 10.0.0.0/8",
  },
  {
    select: "{ include: [{ ports: [443], networks: [127.0.0.0/8] }, { ports: [22], side: local }] }",
    expression: "( ( sport = :443 or dport = :443 ) and ( src 127.0.0.0/8 or dst 127.0.0.0/8 ) ) or sport = :22",
  },
  {
    select: "{ include: [{ networks: [10.0.0.0/8] }], exclude: [{ ports: [22, 80] }] }",
    expression:
      "( src 10.0.0.0/8 or dst 10.0.0.0/8 ) and not ( sport = :22 or dport = :22 or sport = :80 or dport = :80 )",
  },
  {
    select: "{ exclude: [{ ports: [443], networks: [127.0.0.0/8], side: remote }, { addresses: [10.1.0.1] }] }",
    expression: "not ( dport = :443 and dst 127.0.0.0/8 ) and not ( src 10.1.0.1 or dst 10.1.0.1 )",
  },
  {
    select: "{ include: [{ hosts: [a.internal] }] }",
    expression: "src 10.0.0.1 or dst 10.0.0.1 or src [2001:db8::1] or dst [2001:db8::1]",
  },
  { select: "{ include: [{ ports: [1] }] }", expression: "sport = :1 or dport = :1" },
];
