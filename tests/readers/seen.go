// Package readers lets the code of those who read vCenter judge what the agent reports. README.md says who and how.
package readers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// Seen is what the simulated VMX has received at one moment of a layout, with what there is on the node and what its
// operator wants: a file of the folder that tests/agent/layouts/seen.rs fills.
type Seen struct {
	Layout    string        `json:"layout"`
	Moment    int           `json:"moment"`
	Wanted    Wanted        `json:"wanted"`
	First     netip.Addr    `json:"first"` // the wanted address of a reader who takes one
	Kubelet   []netip.Addr  `json:"kubelet"`
	Devices   []Device      `json:"devices"`
	Addresses []NodeAddress `json:"addresses"`
	Gateways  []netip.Addr  `json:"gateways"` // of the default routes that count
	VCenter   VCenter       `json:"vcenter"`
}

// Wanted is `wanted` of tests/layouts.
type Wanted struct {
	Name string     `json:"name"`
	IPv4 netip.Addr `json:"ipv4"`
	IPv6 netip.Addr `json:"ipv6"`
}

// Addresses are the wanted ones.
func (wanted Wanted) Addresses() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{wanted.IPv4, wanted.IPv6}, func(addr netip.Addr) bool {
		return !addr.IsValid()
	})
}

// Device is a NIC of the virtual machine; the node has given a bare one no address.
type Device struct {
	MAC  string `json:"mac"`
	Bare bool   `json:"bare"`
}

// NodeAddress is an address of the node, reported or not.
type NodeAddress struct {
	Address netip.Prefix `json:"address"`
	Virtual bool         `json:"virtual"`
	Pods    bool         `json:"pods"`
}

// VCenter is what tests/vmx makes of the agent's messages.
type VCenter struct {
	HostName  string     `json:"host_name"`
	IPAddress netip.Addr `json:"ip_address"`
	NICs      *NICInfo   `json:"nics"`
}

// NICInfo is the NIC list as it was sent.
type NICInfo struct {
	NICs   []NIC   `json:"nics"`
	Routes []Route `json:"routes"`
	DNS    *DNS    `json:"dns"`
}

// NIC is one of the list.
type NIC struct {
	MAC string    `json:"mac"`
	IPs []IPEntry `json:"ips"`
}

// IPEntry is an address of a NIC.
type IPEntry struct {
	Address netip.Addr `json:"address"`
	Prefix  int32      `json:"prefix"`
	Status  int        `json:"status"`
}

// Route is a route of the list; its NIC is an index.
type Route struct {
	Destination netip.Addr `json:"destination"`
	Prefix      int32      `json:"prefix"`
	NextHop     netip.Addr `json:"next_hop"`
	NIC         int        `json:"nic"`
}

// DNS has names and name servers.
type DNS struct {
	Host     string   `json:"host"`
	Domain   string   `json:"domain"`
	Servers  []string `json:"servers"`
	Suffixes []string `json:"suffixes"`
}

// Name says which moment it is.
func (seen *Seen) Name() string {
	return fmt.Sprintf("%s.%d", seen.Layout, seen.Moment)
}

// Prefix is an address of the node with its network.
func (seen *Seen) Prefix(addr netip.Addr) netip.Prefix {
	for _, known := range seen.Addresses {
		if known.Address.Addr() == addr {
			return known.Address
		}
	}

	return netip.PrefixFrom(addr, addr.BitLen())
}

// Foreign says why an address that somebody took is none of the machine's.
func (seen *Seen) Foreign(addr netip.Addr) string {
	if slices.Contains(seen.Wanted.Addresses(), addr) {
		return ""
	}

	for _, known := range seen.Addresses {
		switch {
		case known.Address.Addr() != addr:
		case known.Virtual:
			return "a virtual address"
		case known.Pods:
			return "an address of pods or of a tunnel"
		default:
			return ""
		}
	}

	return "an address that the node does not have"
}

// Read reads one moment.
func Read(path string) (*Seen, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}

	seen := &Seen{}
	if err := json.Unmarshal(text, seen); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}

	return seen, nil
}

// ReadAll reads every moment of a folder.
func ReadAll(folder string) ([]*Seen, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}

	var all []*Seen
	for _, path := range paths {
		seen, err := Read(path)
		if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}

	return all, nil
}
