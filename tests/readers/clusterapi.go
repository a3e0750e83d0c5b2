package readers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	capv "sigs.k8s.io/cluster-api-provider-vsphere/pkg/services/govmomi/net"
)

// ClusterAPI is what becomes of a machine's addresses: those of all NICs that its own function finds, in the order of
// the virtual machine's NICs, without those that only the guest can reach. All are the machine's ExternalIPs, and who
// wants one takes the first of them. These last steps are in our words, as their functions are not exported
// [cluster-api-provider-vsphere v1.16.1: pkg/services/govmomi/util.go, controllers/vspherevm_controller.go,
// pkg/services/vimmachine.go].
func ClusterAPI(ctx context.Context, machine *Machine) error {
	status, err := capv.GetNetworkStatus(ctx, machine.VM.Client(), machine.VM.Reference())
	if err != nil {
		return err
	}

	var all []netip.Addr
	for _, nic := range status {
		addrs, err := reachable(nic.IPAddrs)
		if err != nil {
			return err
		}
		if err := machine.firstOfNIC(addrs); err != nil {
			return err
		}
		all = append(all, addrs...)
	}

	for _, addr := range all {
		if why := machine.Foreign(addr); why != "" {
			return fmt.Errorf("the machine gets %s, %s", addr, why)
		}
	}
	wanted := machine.Wanted.Addresses()
	for _, addr := range wanted {
		if !slices.Contains(all, addr) {
			return fmt.Errorf("the machine does not get %s, but %v", addr, all)
		}
	}
	if len(wanted) == 0 && len(all) > 0 {
		return fmt.Errorf("the machine gets %v where there is none", all)
	}

	return nil
}

func reachable(texts []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		if capv.ErrOnLocalOnlyIPAddr(text) == nil {
			all = append(all, addr)
		}
	}

	return all, nil
}

// firstOfNIC is where the agent decides: on the NIC with a wanted address it is the first of its family.
func (machine *Machine) firstOfNIC(addrs []netip.Addr) error {
	for _, wanted := range machine.Wanted.Addresses() {
		if !slices.Contains(addrs, wanted) {
			continue
		}
		for _, addr := range addrs {
			if addr == wanted {
				break
			}
			if addr.Is4() == wanted.Is4() {
				return fmt.Errorf("the machine gets %s before %s", addr, wanted)
			}
		}
	}

	return nil
}
