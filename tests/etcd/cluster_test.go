package etcd_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"talos-vmtoolsd/etcd/cluster"
)

// How long anything but a freeze may take.
const patience = 30 * time.Second

// Members of etcd that run in this process.
type members struct {
	members []*embed.Etcd
	urls    []string
}

// The members have their data in these folders.
func newCluster(t *testing.T, folders ...string) *members {
	configs, err := cluster.Configs(folders...)
	must(t, err)

	c := &members{}

	for _, config := range configs {
		member, err := embed.StartEtcd(config)
		must(t, err)
		t.Cleanup(member.Close)

		c.members = append(c.members, member)
		c.urls = append(c.urls, config.AdvertiseClientUrls[0].String())
	}

	for _, member := range c.members {
		select {
		case <-member.Server.ReadyNotify():
		case <-time.After(patience):
			t.Fatal("etcd does not start")
		}
	}

	c.settle(t)

	return c
}

// A client of these members alone.
func (c *members) client(t *testing.T, members ...int) *clientv3.Client {
	var endpoints []string
	for _, member := range members {
		endpoints = append(endpoints, c.urls[member])
	}

	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })

	return client
}

// Waits until all members agree on a leader and have all entries, for half a second on end.
func (c *members) settle(t *testing.T) {
	var since time.Time

	wait(t, "the members agree", func() bool {
		if !c.agrees() {
			since = time.Time{}

			return false
		}

		if since.IsZero() {
			since = time.Now()
		}

		return time.Since(since) > 500*time.Millisecond
	})
}

func (c *members) agrees() bool {
	first := c.members[0].Server
	for _, member := range c.members {
		server := member.Server
		if server.Lead() == 0 || server.Lead() != first.Lead() || server.Term() != first.Term() ||
			server.AppliedIndex()+20 < first.CommittedIndex() {
			return false
		}
	}

	return true
}

// Makes this member the leader.
func (c *members) lead(t *testing.T, member int) {
	wanted := uint64(c.members[member].Server.MemberID())

	wait(t, "the right member leads", func() bool {
		lead := c.members[member].Server.Lead()
		for _, other := range c.members {
			if id := uint64(other.Server.MemberID()); id == lead && id != wanted {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_ = other.Server.MoveLeader(ctx, lead, wanted)

				cancel()
			}
		}

		return lead == wanted
	})
	c.settle(t)
}

// The terms of the members that are not frozen; each election that is won is a new one.
func (c *members) term() uint64 {
	var term uint64
	for _, member := range c.members {
		term = max(term, member.Server.Term())
	}

	return term
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()

	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
