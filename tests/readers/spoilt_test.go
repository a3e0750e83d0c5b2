package readers

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// right is a list that all judges take: a node with two NICs, the first of which is for storage, two default routes and
// a virtual address that is not reported.
func right(t *testing.T) *Seen {
	t.Helper()
	seen, err := Read(filepath.Join("testdata", "right.json"))
	if err != nil {
		t.Fatal(err)
	}

	return seen
}

// onlyIPv6 makes it a node without IPv4, whose router is known by its link-local address.
func onlyIPv6(seen *Seen) {
	seen.Wanted.IPv4, seen.First = netip.Addr{}, seen.Wanted.IPv6
	seen.Kubelet, seen.Gateways = seen.Kubelet[1:], nil
	seen.Devices = seen.Devices[1:]
	seen.VCenter.IPAddress = seen.First
	info := seen.VCenter.NICs
	info.NICs = info.NICs[:1]
	info.NICs[0].IPs = info.NICs[0].IPs[2:]
	info.Routes = info.Routes[3:]
}

func TestAllJudgesTakeWhatIsRight(t *testing.T) {
	for name, prepare := range map[string]func(*Seen){"dual stack": func(*Seen) {}, "IPv6 alone": onlyIPv6} {
		t.Run(name, func(t *testing.T) {
			seen := right(t)
			prepare(seen)
			machine := start(t, seen)
			for _, judge := range Judges {
				if err := judge.Judge(t.Context(), machine); err != nil {
					t.Errorf("%s: %v", judge.Name, err)
				}
			}
		})
	}
}

// A spoilt list is noticed, by the judges who are named and for the reason that is named.
func TestASpoiltListIsNoticedForTheRightReason(t *testing.T) {
	first := func(seen *Seen) *NIC { return &seen.VCenter.NICs.NICs[0] }
	entry := func(addr string, bits int32) IPEntry {
		return IPEntry{Address: netip.MustParseAddr(addr), Prefix: bits, Status: 1}
	}

	spoilts := map[string]struct {
		spoil    func(*Seen)
		verdicts map[string]string
	}{
		"the name with its domain": {
			func(seen *Seen) { seen.VCenter.HostName = "cp-1.example.test" },
			map[string]string{"cloud provider": "the node cp-1: No VM found"},
		},
		"no name": {
			func(seen *Seen) { seen.VCenter.HostName = "" },
			map[string]string{"cloud provider": "the node cp-1: No VM found"},
		},
		"two addresses of a NIC swapped": {
			func(seen *Seen) { ips := first(seen).IPs; ips[0], ips[1] = ips[1], ips[0] },
			map[string]string{
				"cloud provider": "takes InternalIP 10.0.0.12",
				"Packer":         `takes "10.0.0.12", and 10.0.0.11 is wanted`,
				"Cluster API":    "gets 10.0.0.12 before 10.0.0.11",
				"Terraform":      `takes "10.0.0.12", and 10.0.0.11 is wanted`,
			},
		},
		"two NICs swapped": {
			func(seen *Seen) { slices.Reverse(seen.VCenter.NICs.NICs) },
			map[string]string{"cloud provider": "takes InternalIP 192.168.7.11"},
		},
		"a virtual address first": {
			func(seen *Seen) { first(seen).IPs = slices.Insert(first(seen).IPs, 0, entry("10.0.0.5", 32)) },
			map[string]string{
				"cloud provider": "takes InternalIP 10.0.0.5",
				"govc vm.ip -a":  "takes 10.0.0.5, a virtual address",
				"Packer":         `takes "10.0.0.5"`,
				"Cluster API":    "gets 10.0.0.5 before 10.0.0.11",
			},
		},
		"a virtual address last": {
			func(seen *Seen) { first(seen).IPs = append(first(seen).IPs, entry("10.0.0.5", 32)) },
			map[string]string{
				"govc vm.ip -a": "takes 10.0.0.5, a virtual address",
				"Cluster API":   "gets 10.0.0.5, a virtual address",
			},
		},
		"a pod's address": {
			func(seen *Seen) { first(seen).IPs = append(first(seen).IPs, entry("10.244.1.1", 24)) },
			map[string]string{
				"govc vm.ip -a": "takes 10.244.1.1, an address of pods",
				"Cluster API":   "gets 10.244.1.1, an address of pods",
			},
		},
		"another primary address": {
			func(seen *Seen) { seen.VCenter.IPAddress = netip.MustParseAddr("10.0.0.5") },
			map[string]string{"govc vm.ip, Ansible": `takes "10.0.0.5"`},
		},
		"no primary address": {
			func(seen *Seen) { seen.VCenter.IPAddress = netip.Addr{} },
			map[string]string{"govc vm.ip, Ansible": "waits for ever"},
		},
		"the best default route first": {
			func(seen *Seen) { routes := seen.VCenter.NICs.Routes; routes[0], routes[1] = routes[1], routes[0] },
			map[string]string{"Terraform": `takes "192.168.7.11", and 10.0.0.11 is wanted`},
		},
		"no routes": {
			func(seen *Seen) { seen.VCenter.NICs.Routes = nil },
			map[string]string{"Terraform": "waits for ever"},
		},
		"a hardware address that the machine does not have": {
			func(seen *Seen) { first(seen).MAC = "02:00:00:00:00:99" },
			map[string]string{
				"cloud provider": "unable to find suitable IP address",
				"govc vm.ip -a":  "waits for ever",
				"Packer":         "waits for ever",
				"Cluster API":    "does not get 10.0.0.11",
			},
		},
		"no NICs": {
			func(seen *Seen) { seen.VCenter.NICs = nil },
			map[string]string{
				"cloud provider": "VM GuestNicInfo is empty",
				"govc vm.ip -a":  "waits for ever",
				"Packer":         "waits for ever",
				"Cluster API":    "does not get 10.0.0.11",
				"Terraform":      "waits for ever",
			},
		},
		"no IPv6 address": {
			func(seen *Seen) { first(seen).IPs = first(seen).IPs[:2] },
			map[string]string{
				"cloud provider": "unable to find suitable IP address",
				"govc vm.ip -a":  "2001:db8::11 is missing",
				"Packer":         "finds no address, and 2001:db8::11 is wanted",
				"Cluster API":    "does not get 2001:db8::11",
			},
		},
		"a kubelet with another address": {
			func(seen *Seen) { seen.Kubelet[0] = netip.MustParseAddr("10.0.0.13") },
			map[string]string{"cloud provider": "stays uninitialized"},
		},
		"a link-local address beside IPv6 alone": {
			func(seen *Seen) {
				onlyIPv6(seen)
				first(seen).IPs = append(first(seen).IPs, entry("fe80::250:56ff:fe00:2", 64))
			},
			map[string]string{"Terraform": `takes "fe80::250:56ff:fe00:2", and 2001:db8::11 is wanted`},
		},
		"a virtual address alone": {
			func(seen *Seen) {
				seen.Wanted.IPv4, seen.Wanted.IPv6, seen.First = netip.Addr{}, netip.Addr{}, netip.Addr{}
				seen.Kubelet, seen.Gateways = nil, nil
				seen.VCenter.IPAddress = netip.MustParseAddr("10.0.0.5")
				seen.VCenter.NICs.NICs = seen.VCenter.NICs.NICs[:1]
				first(seen).IPs = []IPEntry{entry("10.0.0.5", 32)}
			},
			map[string]string{
				"cloud provider":      "takes 10.0.0.5, a virtual address",
				"govc vm.ip, Ansible": "takes 10.0.0.5 where there is none",
				"Cluster API":         "gets 10.0.0.5, a virtual address",
				"Terraform":           "takes 10.0.0.5 where there is none",
			},
		},
	}
	for name, spoilt := range spoilts {
		t.Run(name, func(t *testing.T) {
			seen := right(t)
			spoilt.spoil(seen)
			machine := start(t, seen)
			for _, judge := range Judges {
				err := judge.Judge(t.Context(), machine)
				if errors.Is(err, ErrNotToBeHad) {
					err = nil
				}
				switch want, isNamed := spoilt.verdicts[judge.Name]; {
				case !isNamed && err != nil:
					t.Errorf("%s is not the one to notice, and says: %v", judge.Name, err)
				case isNamed && err == nil:
					t.Errorf("%s does not notice; it should say %q", judge.Name, want)
				case isNamed && !strings.Contains(err.Error(), want):
					t.Errorf("%s says %q and should say %q", judge.Name, err, want)
				}
			}
		})
	}

	if !t.Failed() {
		fmt.Printf("ok    %-20s %3d noticed\n", "spoilt lists", len(spoilts))
	}
}
