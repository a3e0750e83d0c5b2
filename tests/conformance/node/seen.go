package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/cosi-project/runtime/pkg/resource"
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
	NICs           []struct {
		Name      string `json:"name"`
		MAC       string `json:"mac"`
		Addresses []struct {
			IP string `json:"ip"`
		} `json:"addresses"`
	} `json:"nics"`
	Links     []Link    `json:"links"`
	Addresses []Address `json:"addresses"`
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
		want := []string{}
		for _, prefix := range address.TypedSpec().Addresses {
			want = append(want, prefix.Addr().String())
		}

		same("node addresses "+address.Metadata().ID(), seen.NodeAddresses[key(address.Metadata().ID())], want)
	}

	virtual, err := safe.StateGet[*network.AddressSpec](ctx, n.State,
		resource.NewMetadata(network.ConfigNamespaceName, network.AddressSpecType, "vip/eth0/eth0/10.5.0.100/32", resource.VersionUndefined))
	if err != nil {
		return err
	}

	same("virtual IPs", seen.VirtualIPs, []string{virtual.TypedSpec().Address.Addr().String()})

	// What is told to the host follows from these: Talos' own view first, a virtual IP last.
	same("primary address", seen.PrimaryAddress.String(), "10.5.0.11")

	nics := map[string][]string{}
	for _, nic := range seen.NICs {
		for _, address := range nic.Addresses {
			nics[nic.MAC] = append(nics[nic.MAC], address.IP)
		}

		slices.Sort(nics[nic.MAC])
	}

	same("NICs", nics, map[string][]string{
		"00:50:56:01:02:03": {"10.5.0.100", "10.5.0.11", "192.168.100.11", "fd00:5::11", "fe80::250:56ff:fe01:203"},
		"00:50:56:01:02:04": {"10.6.0.11"},
	})

	return errors.Join(errs...)
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

		if spec.Flags&nethelpers.AddressFlags(nethelpers.AddressDeprecated) != 0 {
			address.Status = "deprecated"
		}

		addresses = append(addresses, address)
	}

	slices.SortFunc(addresses, byAddress)

	return addresses, nil
}

func byAddress(a, b Address) int { return a.IP.Compare(b.IP) }

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
