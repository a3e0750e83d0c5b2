/* Writes the vector nic_info.bin with the routines that rpcgen makes of nic_info.x; see README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include "nic_info.h"

static ip at(const char *text) {
  static unsigned char storage[64][16];
  static int used = 0;
  unsigned char *bytes = storage[used++];
  ip out;
  int v6 = strchr(text, ':') != NULL;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1) abort();
  out.kind = v6 ? 2 : 1;
  out.bytes.bytes_len = v6 ? 16 : 4;
  out.bytes.bytes_val = (char *)bytes;
  return out;
}

static unsigned int values[] = {0, 1, 2, 3, 4, 5, 6, 7};

static address on(const char *text, unsigned int length, int origin, int status) {
  address out = {at(text), length, origin ? &values[origin] : NULL, &values[status]};
  return out;
}

int main(void) {
  address first[] = {
      on("10.5.0.2", 24, 4, 1), on("2001:db8::250:56ff:feab:cdef", 64, 5, 1), on("2001:db8::aaaa", 64, 6, 2),
      on("2001:db8:2::5", 64, 0, 6), on("fe80::250:56ff:feab:cdef", 64, 5, 1),
      on("10.5.0.100", 32, 2, 1)};
  address second[] = {on("192.168.0.7", 16, 2, 1)};
  ip lease_servers[] = {at("10.5.0.1")};
  ip servers[] = {at("10.5.0.1"), at("2001:4860:4860::8888")};
  text suffixes[] = {"example.com", "corp.example.com"};
  text host = "talos-cp-1", domain = "example.com";
  dns lease = {NULL, NULL, {1, lease_servers}, {0, NULL}};
  dns names = {&host, &domain, {2, servers}, {2, suffixes}};
  dhcp on_ = {TRUE, ""}, off = {FALSE, ""};
  nic nics[] = {
      {"00:50:56:ab:cd:ef", {6, first}, &lease, NULL, &on_, NULL},
      {"00:50:56:ab:cd:f0", {1, second}, NULL, NULL, &off, NULL},
      {"00:50:56:ab:cd:f1", {0, NULL}, NULL, NULL, NULL, NULL}};
  ip gateway = at("10.5.0.1"), other = at("192.168.0.1"), gateway6 = at("fe80::1");
  route routes[] = {
      {at("0.0.0.0"), 0, &other, 1, 0, 2048},   {at("0.0.0.0"), 0, &gateway, 0, 0, 1024},
      {at("10.5.0.0"), 24, NULL, 0, 0, 0},      {at("::"), 0, &gateway6, 0, 0, 1024},
      {at("2001:db8::"), 64, NULL, 0, 0, 256}};
  network content = {{3, nics}, {5, routes}, &names, NULL, NULL, NULL};
  message whole;
  char buffer[4096];
  XDR xdr;
  whole.form = 3;
  whole.message_u.content = &content;
  xdrmem_create(&xdr, buffer, sizeof buffer, XDR_ENCODE);
  if (!xdr_message(&xdr, &whole)) abort();
  fwrite(buffer, 1, xdr_getpos(&xdr), stdout);
  return 0;
}
