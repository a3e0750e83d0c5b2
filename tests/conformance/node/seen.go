package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/nethelpers"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
)

// Seen is what `talosquery --json` says.
type Seen struct {
	HostName struct {
		Host, Domain, FQDN string
	} `json:"host_name"`
	Talos struct {
		Tag, Arch, Platform string
	} `json:"talos"`
	Stage          string              `json:"stage"`
	PrimaryAddress netip.Addr          `json:"primary_address"`
	NodeAddresses  map[string][]string `json:"node_addresses"`
	VirtualIPs     []string            `json:"virtual_ips"`
	NICs           []NIC               `json:"nics"`
	Routes         []Route             `json:"routes"`
	Decisions      []Decision          `json:"decisions"`
	Links          []Link              `json:"links"`
	Addresses      []Address           `json:"addresses"`
}

// NIC is one element of `nics`.
type NIC struct {
	Name      string `json:"name"`
	MAC       string `json:"mac"`
	Addresses []struct {
		IP           string  `json:"ip"`
		PrefixLength int     `json:"prefix_length"`
		Status       string  `json:"status"`
		Origin       *string `json:"origin"`
	} `json:"addresses"`
	DHCP4    *bool `json:"dhcp4"`
	DHCP6    *bool `json:"dhcp6"`
	Resolver *struct {
		Servers []string `json:"servers"`
	} `json:"resolver"`
}

// Route is one element of `routes`.
type Route struct {
	Destination string  `json:"destination"`
	Gateway     *string `json:"gateway"`
	Metric      uint32  `json:"metric"`
	NIC         string  `json:"nic"`
}

// Decision is one element of `decisions`.
type Decision struct {
	Address  string `json:"address"`
	Reported bool   `json:"reported"`
	Why      string `json:"why"`
}

// Link is one element of `links`.
type Link struct {
	Name        string  `json:"name"`
	Index       uint32  `json:"index"`
	Kind        string  `json:"kind"`
	Physical    bool    `json:"physical"`
	MAC         *string `json:"mac"`
	Up          bool    `json:"up"`
	MasterIndex uint32  `json:"master_index"`
	ParentIndex uint32  `json:"parent_index"`
}

// Address is one element of `addresses`.
type Address struct {
	IP           netip.Addr `json:"ip"`
	PrefixLength int        `json:"prefix_length"`
	Link         string     `json:"link"`
	Scope        string     `json:"scope"`
	Status       string     `json:"status"`
	Temporary    bool       `json:"temporary"`
}

// Compare says where what was seen differs from what is in the node's state.
func (n *Node) Compare(ctx context.Context, seen *Seen) error {
	var errs []error

	same := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			errs = append(errs, fmt.Errorf("%s: seen %+v, in the state %+v", what, got, want))
		}
	}

	hostname, err := safe.StateGetByID[*network.HostnameStatus](ctx, n.State, network.HostnameID)
	if err != nil {
		return err
	}

	same("host", seen.HostName.Host, hostname.TypedSpec().Hostname)
	same("domain", seen.HostName.Domain, hostname.TypedSpec().Domainname)
	same("FQDN", seen.HostName.FQDN, hostname.TypedSpec().FQDN())
	same("Talos", seen.Talos.Tag, Tag)
	same("platform", seen.Talos.Platform, "vmware")

	status, err := safe.StateGetByID[*runtime.MachineStatus](ctx, n.State, runtime.MachineStatusID)
	if err != nil {
		return err
	}

	same("stage", seen.Stage, status.TypedSpec().Stage.String())

	links, err := n.links(ctx)
	if err != nil {
		return err
	}

	same("links", texts(seen.Links), texts(links))

	addresses, err := n.addresses(ctx)
	if err != nil {
		return err
	}

	slices.SortFunc(seen.Addresses, byAddress)
	same("addresses", seen.Addresses, addresses)

	nodeAddresses, err := safe.StateListAll[*network.NodeAddress](ctx, n.State)
	if err != nil {
		return err
	}

	for address := range nodeAddresses.All() {
		if strings.HasSuffix(address.Metadata().ID(), "-only-k8s") {
			continue // not looked at
		}

		want := []string{}
		for _, prefix := range address.TypedSpec().Addresses {
			want = append(want, prefix.Addr().String())
		}

		same("node addresses "+address.Metadata().ID(), seen.NodeAddresses[key(address.Metadata().ID())], want)
	}

	virtual := []string{}

	for _, address := range n.layout.Addresses {
		if strings.HasPrefix(address.Spec, "vip/") {
			virtual = append(virtual, address.Address.Addr().String())
		}
	}

	same("virtual IPs", seen.VirtualIPs, virtual)

	// What the host must be shown follows from these.
	shown := n.layout.Shown
	same("primary address", seen.PrimaryAddress.IsValid(), shown.IPAddress != "")

	if shown.IPAddress != "" {
		same("primary address", seen.PrimaryAddress.String(), shown.IPAddress)
	}

	same("NICs", nicTexts(seen.nics()), nicTexts(shown.Net))
	same("routes", seen.routes(), append([]string{}, shown.Routes...))

	found := 0

	for _, decision := range seen.Decisions {
		ip, _, _ := strings.Cut(decision.Address, "/")
		if why, listed := shown.LeftOut[ip]; listed {
			same(ip+" reported", decision.Reported, false)
			same(ip, decision.Why, why)

			found++
		}
	}

	if found < len(shown.LeftOut) {
		errs = append(errs, fmt.Errorf("of the addresses left out, %v, only %d are there", shown.LeftOut, found))
	}

	return errors.Join(errs...)
}

// nics are the NICs in the layouts' words.
func (s *Seen) nics() []LayoutNIC {
	var nics []LayoutNIC

	for _, nic := range s.NICs {
		in := LayoutNIC{Name: nic.Name, MAC: nic.MAC, DHCP4: nic.DHCP4, DHCP6: nic.DHCP6}
		if nic.Resolver != nil {
			in.Servers = nic.Resolver.Servers
		}

		for _, address := range nic.Addresses {
			origin := "-"
			if address.Origin != nil {
				origin = *address.Origin
			}

			in.Addresses = append(in.Addresses, fmt.Sprintf("%s/%d %s %s", address.IP, address.PrefixLength, address.Status, origin))
		}

		nics = append(nics, in)
	}

	return nics
}

// nicTexts shows what pointers point to.
func nicTexts(nics []LayoutNIC) []string {
	texts := []string{}
	dhcp := func(enabled *bool) string {
		if enabled == nil {
			return "-"
		}

		return fmt.Sprint(*enabled)
	}

	for _, nic := range nics {
		texts = append(texts, fmt.Sprintf("%s %s dhcp4=%s dhcp6=%s servers=%v %v", nic.Name, nic.MAC, dhcp(nic.DHCP4), dhcp(nic.DHCP6), nic.Servers, nic.Addresses))
	}

	return texts
}

// routes are the routes in the layouts' words.
func (s *Seen) routes() []string {
	routes := []string{}

	for _, route := range s.Routes {
		text := route.Destination
		if route.Gateway != nil {
			text += " via " + *route.Gateway
		}

		nic := slices.IndexFunc(s.NICs, func(nic NIC) bool { return nic.Name == route.NIC })
		routes = append(routes, fmt.Sprintf("%s NIC %d metric %d", text, nic, route.Metric))
	}

	return routes
}

// key is a node address's id as talosquery spells it.
func key(id string) string {
	text := []byte(id)
	for i := range text {
		if text[i] == '-' {
			text[i] = '_'
		}
	}

	return string(text)
}

func (n *Node) links(ctx context.Context) ([]Link, error) {
	list, err := safe.StateListAll[*network.LinkStatus](ctx, n.State)
	if err != nil {
		return nil, err
	}

	var links []Link

	for status := range list.All() {
		spec := status.TypedSpec()
		link := Link{
			Name: status.Metadata().ID(), Index: spec.Index, Kind: spec.Kind, Physical: spec.Physical(),
			Up:          spec.OperationalState == nethelpers.OperStateUp || spec.OperationalState == nethelpers.OperStateUnknown,
			MasterIndex: spec.MasterIndex, ParentIndex: spec.LinkIndex,
		}

		if len(spec.HardwareAddr) > 0 {
			text := spec.HardwareAddr.String()
			link.MAC = &text
		}

		links = append(links, link)
	}

	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })

	return links, nil
}

func (n *Node) addresses(ctx context.Context) ([]Address, error) {
	list, err := safe.StateListAll[*network.AddressStatus](ctx, n.State)
	if err != nil {
		return nil, err
	}

	var addresses []Address

	for status := range list.All() {
		spec := status.TypedSpec()
		address := Address{
			IP: spec.Address.Addr(), PrefixLength: spec.Address.Bits(), Link: spec.LinkName, Scope: spec.Scope.String(), Status: "preferred",
		}

		has := func(flag nethelpers.AddressFlag) bool { return spec.Flags&nethelpers.AddressFlags(flag) != 0 }

		switch {
		case has(nethelpers.AddressDADFailed):
			address.Status = "duplicate"
		case has(nethelpers.AddressTentative):
			address.Status = "tentative"
		case has(nethelpers.AddressDeprecated):
			address.Status = "deprecated"
		}

		address.Temporary = has(nethelpers.AddressTemporary)

		addresses = append(addresses, address)
	}

	slices.SortFunc(addresses, byAddress)

	return addresses, nil
}

func byAddress(a, b Address) int {
	return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.Link, b.Link))
}

// texts shows what pointers point to.
func texts(links []Link) []string {
	var all []string

	for _, link := range links {
		mac := "none"
		if link.MAC != nil {
			mac = *link.MAC
		}

		all = append(all, fmt.Sprintf("%d %s kind=%q physical=%t mac=%s up=%t master=%d parent=%d",
			link.Index, link.Name, link.Kind, link.Physical, mac, link.Up, link.MasterIndex, link.ParentIndex))
	}

	return all
}
