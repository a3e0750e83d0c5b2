package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"talos-vmtoolsd/etcd/cluster"
)

const (
	// How long a start or an election may take.
	patience = 30 * time.Second
	// How long a question may take; without quorum it takes that long.
	question = 3 * time.Second
	// How long a write may take where there is quorum: longer than an election.
	write = 5 * time.Second
)

// The members, each with the client that Talos has for its own: of it alone.
type etcd struct {
	configs []*embed.Config
	local   []*clientv3.Client
	all     *clientv3.Client

	lock    sync.Mutex
	running []*embed.Etcd
}

type status struct {
	Member  uint64   `json:"member"`
	Leader  uint64   `json:"leader"`
	Term    uint64   `json:"term"`
	Learner bool     `json:"learner"`
	Errors  []string `json:"errors,omitempty"`
}

type member struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"`
	Peer    string `json:"peer"`
	Client  string `json:"client"`
	Learner bool   `json:"learner"`
}

// Starts three members with their data in folders of this one.
func start(folder string) (*etcd, error) {
	configs, err := cluster.Configs(
		filepath.Join(folder, "1"), filepath.Join(folder, "2"), filepath.Join(folder, "3"))
	if err != nil {
		return nil, err
	}

	e := &etcd{configs: configs, running: make([]*embed.Etcd, len(configs))}

	var urls []string

	for i, config := range configs {
		if e.running[i], err = embed.StartEtcd(config); err != nil {
			return nil, err
		}

		url := config.AdvertiseClientUrls[0].String()
		urls = append(urls, url)

		client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}

		e.local = append(e.local, client)
	}

	e.all, err = clientv3.New(clientv3.Config{Endpoints: urls, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}

	return e, e.agree()
}

func (e *etcd) answer(request request) answer {
	answer := answer{ID: request.ID}
	if request.Member < 0 || request.Member >= len(e.configs) {
		answer.Error = "no such member"

		return answer
	}

	var err error

	switch request.Do {
	case "status":
		answer.Status, err = e.status(request.Member)
	case "members":
		answer.Members, err = e.members()
	case "forfeit":
		answer.Moved, err = e.forfeit(request.Member)
	case "lead":
		err = e.lead(request.Member)
	case "stop":
		err = e.stop(request.Member, false)
	case "kill":
		err = e.stop(request.Member, true)
	case "start":
		err = e.restart(request.Member)
	case "write":
		err = e.write(request.Member)
	default:
		err = fmt.Errorf("unknown request %q", request.Do)
	}

	if err != nil {
		answer.Error = err.Error()
	}

	return answer
}

// What this member says of itself, with quorum or without: EtcdStatus.
func (e *etcd) status(member int) (*status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), question)
	defer cancel()

	response, err := e.local[member].Status(ctx, e.url(member))
	if err != nil {
		return nil, err
	}

	return &status{
		Member: response.Header.MemberId, Leader: response.Leader, Term: response.RaftTerm,
		Learner: response.IsLearner, Errors: response.Errors,
	}, nil
}

// The members of a cluster that has a leader and quorum: EtcdMemberList, not the local one.
func (e *etcd) members() ([]member, error) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(context.Background()), question)
	defer cancel()

	response, err := e.all.MemberList(ctx)
	if err != nil {
		return nil, err
	}

	members := make([]member, len(response.Members))
	for i, m := range response.Members {
		members[i] = member{ID: m.ID, Name: m.Name, Learner: m.IsLearner}
		// Both are empty of a member that has not started yet.
		if len(m.PeerURLs) > 0 && len(m.ClientURLs) > 0 {
			members[i].Peer, members[i].Client = m.PeerURLs[0], m.ClientURLs[0]
		}
	}

	return members, nil
}

// Moves leadership from this member, if it leads, to the first other member of the list, whatever that is: what
// EtcdForfeitLeadership does. Gives the new leader's name, none if this member does not lead.
func (e *etcd) forfeit(member int) (string, error) {
	members, err := e.members()
	if err != nil {
		return "", err
	}

	status, err := e.status(member)
	if err != nil {
		return "", err
	}

	if status.Leader != status.Member {
		return "", nil
	}

	for _, other := range members {
		if other.ID == status.Member {
			continue
		}

		err := e.move(member, other.ID)
		if errors.Is(err, rpctypes.ErrNotLeader) {
			return "", nil
		}

		return other.Name, err
	}

	return "", errors.New("cannot forfeit leadership, only one member")
}

func (e *etcd) move(member int, to uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), question)
	defer cancel()

	_, err := e.local[member].MoveLeader(ctx, to)

	return err
}

// Makes this member the leader, if it is not, and waits until all know.
func (e *etcd) lead(member int) error {
	wanted, err := e.status(member)
	if err != nil {
		return err
	}

	return until("the right member leads", func() bool {
		for other := range e.configs {
			status, err := e.status(other)
			if err == nil && status.Leader == status.Member && status.Member != wanted.Member {
				// The one that it moves to may be behind: asked again.
				_ = e.move(other, wanted.Member)
			}
		}

		return e.leader() == wanted.Member
	})
}

// Stops a member: as SIGTERM does, which hands leadership over, or as a power cut does.
func (e *etcd) stop(member int, hard bool) error {
	e.lock.Lock()
	running := e.running[member]
	e.running[member] = nil
	e.lock.Unlock()

	if running == nil {
		return errors.New("is not running")
	}

	if hard {
		running.Server.HardStop()
	}

	running.Close()

	return nil
}

// Starts a member with the data that it has, and waits until all agree again.
func (e *etcd) restart(member int) error {
	running, err := embed.StartEtcd(e.configs[member])
	if err != nil {
		return err
	}

	e.lock.Lock()
	e.running[member] = running
	e.lock.Unlock()

	return e.agree()
}

// Writes through this member: it needs quorum.
func (e *etcd) write(member int) error {
	ctx, cancel := context.WithTimeout(context.Background(), write)
	defer cancel()

	_, err := e.local[member].Put(ctx, "written", time.Now().String())

	return err
}

// Waits until all members that run agree on a leader.
func (e *etcd) agree() error {
	return until("the members agree", func() bool { return e.leader() != 0 })
}

// The leader that all running members agree on; 0 if they do not.
func (e *etcd) leader() uint64 {
	var leader uint64

	e.lock.Lock()
	defer e.lock.Unlock()

	for _, running := range e.running {
		if running == nil {
			continue
		}

		if lead := running.Server.Lead(); lead == 0 || leader != 0 && lead != leader {
			return 0
		}

		leader = running.Server.Lead()
	}

	return leader
}

func (e *etcd) url(member int) string {
	return e.configs[member].AdvertiseClientUrls[0].String()
}

func until(what string, is func() bool) error {
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not in time: %s", what)
		}
	}

	return nil
}
