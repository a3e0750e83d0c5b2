package node

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Layout is a file of tests/layouts, whose README.md describes the form: a node, and what a host must show of it.
// What changes over time or under other settings is not judged here.
type Layout struct {
	HostName struct {
		Host   string `yaml:"hostname"`
		Domain string `yaml:"domainname"`
	} `yaml:"hostname"`
	NodeName       string                    `yaml:"nodename"`
	Stage          string                    `yaml:"stage"`
	Links          []LayoutLink              `yaml:"links"`
	Addresses      []LayoutAddress           `yaml:"addresses"`
	Routes         []LayoutRoute             `yaml:"routes"`
	Resolver       *LayoutResolver           `yaml:"resolver"`
	Leases         []LayoutLease             `yaml:"leases"`
	Kubernetes     []netip.Prefix            `yaml:"kubernetes"`
	KubeletNodeIPs []netip.Addr              `yaml:"kubelet_node_ips"`
	NodeAddresses  map[string][]netip.Prefix `yaml:"node_addresses"`
	Wanted         any                       `yaml:"wanted"`
	Shown          LayoutShown               `yaml:"shown"`
	Under          any                       `yaml:"under"`
	Then           any                       `yaml:"then"`
}

// LayoutLink is one element of `links`.
type LayoutLink struct {
	Name         string `yaml:"name"`
	Index        uint32 `yaml:"index"`
	Type         string `yaml:"type"`
	MAC          string `yaml:"mac"`
	PermanentMAC string `yaml:"permanent_mac"`
	Driver       string `yaml:"driver"`
	Kind         string `yaml:"kind"`
	Master       string `yaml:"master"`
	Parent       any    `yaml:"parent"` // a name or a number
	Up           *bool  `yaml:"up"`
}

// LayoutAddress is one element of `addresses`.
type LayoutAddress struct {
	Link    string       `yaml:"link"`
	Address netip.Prefix `yaml:"address"`
	Spec    string       `yaml:"spec"`
	Scope   string       `yaml:"scope"`
	Flags   *[]string    `yaml:"flags"`
}

// LayoutRoute is one element of `routes`.
type LayoutRoute struct {
	Destination netip.Prefix `yaml:"dst"`
	Family      string       `yaml:"family"`
	Gateway     netip.Addr   `yaml:"gateway"`
	Link        string       `yaml:"link"`
	Priority    uint32       `yaml:"priority"`
	Table       uint8        `yaml:"table"`
	Protocol    string       `yaml:"protocol"`
	Type        string       `yaml:"type"`
	NextHops    []struct {
		Link    string     `yaml:"link"`
		Gateway netip.Addr `yaml:"gateway"`
	} `yaml:"next_hops"`
}

// LayoutResolver is `resolver`.
type LayoutResolver struct {
	Servers []netip.Addr `yaml:"servers"`
	Search  []string     `yaml:"search"`
}

// LayoutLease is one element of `leases`.
type LayoutLease struct {
	Client  string       `yaml:"client"`
	Servers []netip.Addr `yaml:"servers"`
}

// LayoutShown is the answer.
type LayoutShown struct {
	IPAddress      string      `yaml:"ip_address"`
	GuestIPAddress string      `yaml:"guest_ip_address"`
	HostName       string      `yaml:"host_name"`
	Net            []LayoutNIC `yaml:"net"`
	Routes         []string    `yaml:"routes"`
	DNS            struct {
		Host    string   `yaml:"host"`
		Domain  string   `yaml:"domain"`
		Servers []string `yaml:"servers"`
		Search  []string `yaml:"search"`
	} `yaml:"dns"`
	LeftOut map[string]string `yaml:"left_out"`
	Cut     []string          `yaml:"cut"`
}

// LayoutNIC is one element of `net`.
type LayoutNIC struct {
	Name      string   `yaml:"name"`
	MAC       string   `yaml:"mac"`
	DHCP4     *bool    `yaml:"dhcp4"`
	DHCP6     *bool    `yaml:"dhcp6"`
	Servers   []string `yaml:"servers"`
	Addresses []string `yaml:"addresses"`
}

// Layouts are the names of the layouts in a folder.
func Layouts(folder string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))

	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".yaml"))
	}

	return names, err
}

// ReadLayout reads a layout; a key that is not known is an error.
func ReadLayout(folder, name string) (*Layout, error) {
	text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
	if err != nil {
		return nil, err
	}

	layout := &Layout{
		Stage:      "running",
		Kubernetes: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.96.0.0/12")},
	}
	layout.HostName.Host = "talos-worker-1"

	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)

	return layout, decoder.Decode(layout)
}

func (l *Layout) link(name string) *LayoutLink {
	at := slices.IndexFunc(l.Links, func(link LayoutLink) bool { return link.Name == name })
	if at < 0 {
		return &LayoutLink{}
	}

	return &l.Links[at]
}

func (l *LayoutLink) up() bool { return l.Up == nil || *l.Up }

func (l *LayoutLink) physical() bool { return (l.Type == "" || l.Type == "ether") && l.Kind == "" }

// scope is where an address is valid, in the kernel's words.
func (a *LayoutAddress) scope() string {
	ip := a.Address.Addr()

	switch {
	case a.Scope != "":
		return a.Scope
	case ip.IsLoopback():
		return "host"
	case ip.IsLinkLocalUnicast():
		return "link"
	default:
		return "global"
	}
}

// nodeAddresses are Talos' lists: those of the file, else what Talos makes of links and addresses.
func (l *Layout) nodeAddresses() map[string][]netip.Prefix {
	if l.NodeAddresses != nil {
		return l.NodeAddresses
	}

	first, all := "", map[string][]netip.Prefix{}

	for _, address := range l.Addresses {
		ip := address.Address.Addr()
		if address.scope() != "global" || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || !l.link(address.Link).up() {
			continue
		}

		if first == "" || address.Link < first {
			first = address.Link
		}

		all[address.Link] = append(all[address.Link], address.Address)
	}

	sorted := func(list []netip.Prefix) []netip.Prefix {
		slices.SortFunc(list, func(a, b netip.Prefix) int {
			if order := a.Addr().Compare(b.Addr()); order != 0 {
				return order
			}

			return a.Bits() - b.Bits()
		})

		return slices.Compact(list)
	}
	filtered := func(list []netip.Prefix, drop func(netip.Prefix) bool) []netip.Prefix {
		return slices.DeleteFunc(slices.Clone(list), drop)
	}

	var current []netip.Prefix
	for _, list := range all {
		current = append(current, list...)
	}

	current = sorted(current)
	routed := filtered(current, isSideroLink)

	lists := map[string][]netip.Prefix{"current": current, "routed": routed, "default": {}}
	if first != "" {
		lists["default"] = sorted(all[first])[:1]
	}

	if l.Stage == "maintenance" {
		return lists
	}

	ofKubernetes := func(address netip.Prefix) bool {
		return slices.ContainsFunc(l.Kubernetes, func(network netip.Prefix) bool { return network.Contains(address.Addr()) })
	}
	for _, id := range []string{"current", "routed"} {
		lists[id+"-no-k8s"] = filtered(lists[id], ofKubernetes)
		lists[id+"-only-k8s"] = filtered(lists[id], func(address netip.Prefix) bool { return !ofKubernetes(address) })
	}

	return lists
}

// isSideroLink knows SideroLink's addresses by their eighth byte.
func isSideroLink(address netip.Prefix) bool {
	bytes := address.Addr().As16()

	return bytes[0] == 0xfd && bytes[7] == 0x03
}
