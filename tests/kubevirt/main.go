// Prints what KubeVirt learns of a libvirt domain from the guest agent in it, as JSON: its own poller, store and libvirt
// client ask, as in a virt-launcher.
//
//	kubevirt URI DOMAIN
//
// The load is not awaited: libvirt asks for it since 11.2.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	agentpoller "kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/agent-poller"
	"kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/api"
	"kubevirt.io/kubevirt/pkg/virt-launcher/virtwrap/cli"
)

const (
	// For all first answers.
	soon = 30 * time.Second
	// Only the first round of questions counts.
	never = 24 * time.Hour
)

type learned struct {
	Agent       agentpoller.AgentInfo
	System      api.DomainSysInfo
	Interfaces  []api.InterfaceStatus
	Filesystems []api.Filesystem
	Freeze      *api.FSFreeze
	Users       []api.User
}

func of(store *agentpoller.AsyncAgentStore) learned {
	return learned{
		Agent:       store.GetGA(),
		System:      store.GetSysInfo(),
		Interfaces:  store.GetInterfaceStatus(),
		Filesystems: store.GetFS(-1),
		Freeze:      store.GetFSFreezeStatus(),
		Users:       store.GetUsers(-1),
	}
}

// Of each question the first answer is there. Timezones come last of those in one call. Without users the store has nil,
// and before that an empty list.
func (it learned) isAll() bool {
	return it.Agent.Version != "" && it.System.Timezone.Zone != "" && len(it.Filesystems) > 0 &&
		it.Freeze != nil && (it.Users == nil || len(it.Users) > 0)
}

func run(uri, domain string) error {
	connection, err := cli.NewConnection(uri, "", "", never)
	if err != nil {
		return err
	}
	store := agentpoller.NewAsyncAgentStore()
	poller := agentpoller.CreatePoller(connection, "", domain, &store, never, never, never, never, never)
	poller.Start()
	defer poller.Stop()
	deadline := time.Now().Add(soon)
	for !of(&store).isAll() {
		if time.Now().After(deadline) {
			return fmt.Errorf("an answer is missing: %+v", of(&store))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return json.NewEncoder(os.Stdout).Encode(of(&store))
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: kubevirt URI DOMAIN")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
