package etcd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A freeze below one member, and what must come of it.
type freeze struct {
	// Whether the member that is frozen is the leader.
	leader bool
	lasts  time.Duration
	// A new leader must be there, or must not; nil for what lies between the two.
	elects *bool
	// How long writes may stand with the other members.
	stands time.Duration
	// Whether it is left out in short.
	long bool
}

var yes, no = true, false

// How long etcd lets a write wait, 5 s and two election time-outs; then it is answered with an error, whatever becomes of it.
const requestTimeout = 7 * time.Second

// An election begins 1 to 2 s after the last heartbeat, which a leader sends no more once a write of its own stands.
var freezes = []freeze{
	{false, 500 * time.Millisecond, &no, 400 * time.Millisecond, true},
	{false, time.Second, &no, 400 * time.Millisecond, true},
	{false, 1500 * time.Millisecond, &no, 400 * time.Millisecond, true},
	{false, 2 * time.Second, &no, 400 * time.Millisecond, true},
	{false, 4 * time.Second, &no, 400 * time.Millisecond, true},
	{false, 8 * time.Second, &no, 400 * time.Millisecond, false},
	{true, 500 * time.Millisecond, &no, time.Second, false},
	{true, time.Second, nil, 3 * time.Second, true},
	{true, 1500 * time.Millisecond, nil, 3 * time.Second, true},
	{true, 2 * time.Second, nil, 3 * time.Second, true},
	{true, 4 * time.Second, &yes, 3 * time.Second, false},
	{true, 8 * time.Second, &yes, 3 * time.Second, true},
}

func TestThreeMembersDoWithoutAFollowerAndReplaceALeaderThatIsFrozenForLong(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			memory := memory(t)
			disk := newDisk(t, memory, kind)
			c := newCluster(t, disk.folder, folder(t, memory, "b"), folder(t, memory, "c"))

			fmt.Printf("%-5s %-9s %7s %10s %14s %14s %14s\n",
				kind, "frozen", "for", "elections", "others stand", "own stand", "failed")

			for _, freeze := range freezes {
				if freeze.long && testing.Short() {
					continue
				}

				freeze.run(t, c, disk)
			}
		})
	}
}

func (f freeze) run(t *testing.T, c *members, d *disk) {
	const frozen, other = 0, 1

	role := "follower"
	if f.leader {
		role = "leader"
		c.lead(t, frozen)
	} else {
		c.lead(t, other)
	}

	name := fmt.Sprintf("%s-%s-%d", role, f.lasts, c.term())
	others := newWriter(c.client(t, 1, 2), "others-"+name)
	own := newWriter(c.client(t, frozen), "own-"+name)

	others.moves(t)
	own.moves(t)

	term := c.term()
	begun := held(t, d, f.lasts)

	others.moves(t)
	own.moves(t)
	c.settle(t)

	elections := c.term() - term
	standing, ownStanding := others.finish(begun), own.finish(begun)

	fmt.Printf("%-5s %-9s %7s %10d %14s %14s %8d, %4d\n", "", role, f.lasts, elections,
		standing.Round(10*time.Millisecond), ownStanding.Round(10*time.Millisecond), others.failed, own.failed)

	others.verify(t)
	own.verify(t)

	if f.elects != nil && *f.elects != (elections > 0) {
		t.Errorf("%s frozen for %s: %d elections", role, f.lasts, elections)
	}

	if standing > f.stands {
		t.Errorf("%s frozen for %s: writes stand for %s", role, f.lasts, standing)
	}

	// What the old leader had been handed when it froze is given up by etcd once there is a new one.
	if others.failed > 0 && elections == 0 {
		t.Errorf("%s frozen for %s: %d writes have failed", role, f.lasts, others.failed)
	}
}

func TestASingleMemberStandsAsLongAsTheFreezeAndLosesNothing(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			disk := newDisk(t, memory(t), kind)
			c := newCluster(t, disk.folder)

			for _, lasts := range []time.Duration{2 * time.Second, 500 * time.Millisecond, 8 * time.Second} {
				if testing.Short() && lasts != 2*time.Second {
					continue
				}

				writer := newWriter(c.client(t, 0), "own-"+lasts.String())
				writer.moves(t)

				term := c.term()
				begun := held(t, disk, lasts)

				writer.moves(t)

				standing := writer.finish(begun)
				fmt.Printf("%-5s %-9s %7s %10d %14s %14s %14d\n", kind, "single", lasts, c.term()-term, "",
					standing.Round(10*time.Millisecond), writer.failed)

				writer.verify(t)

				if standing < lasts || standing > lasts+time.Second {
					t.Errorf("frozen for %s: writes stand for %s", lasts, standing)
				}

				if (writer.failed > 0 && lasts < requestTimeout) || c.term() != term {
					t.Errorf("frozen for %s: %d writes have failed, %d elections", lasts, writer.failed, c.term()-term)
				}
			}
		})
	}
}

// Freezes for so long; returns when it began.
func held(t *testing.T, d *disk, lasts time.Duration) time.Time {
	t.Helper()

	begun, err := d.freeze()
	if err != nil {
		_ = d.thaw()

		t.Fatal(err)
	}

	time.Sleep(time.Until(begun.Add(lasts)))
	must(t, d.thaw())

	return begun
}

func folder(t *testing.T, memory, name string) string {
	folder := filepath.Join(memory, name)
	must(t, os.Mkdir(folder, 0o700))

	return folder
}
