package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// How often a writer writes.
const pace = 50 * time.Millisecond

// A writer begins a write every 50 ms, as an API server has many at once: one that takes long holds up no other.
type writer struct {
	client *clientv3.Client
	name   string
	stop   chan struct{}
	under  sync.WaitGroup

	mutex sync.Mutex
	// Keys that etcd has acknowledged, and when.
	acknowledged []string
	times        []time.Time
	failed       int
}

func newWriter(client *clientv3.Client, name string) *writer {
	w := &writer{client: client, name: name, stop: make(chan struct{})}

	w.under.Add(1)

	go w.run()

	return w
}

func (w *writer) run() {
	defer w.under.Done()

	ticker := time.NewTicker(pace)
	defer ticker.Stop()

	for number := 0; ; number++ {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}

		w.under.Add(1)

		go w.write(fmt.Sprintf("%s/%06d", w.name, number))
	}
}

func (w *writer) write(key string) {
	defer w.under.Done()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	_, err := w.client.Put(ctx, key, "value")

	w.mutex.Lock()
	defer w.mutex.Unlock()

	if err != nil {
		w.failed++

		return
	}

	w.acknowledged = append(w.acknowledged, key)
	w.times = append(w.times, time.Now())
}

// Waits until a write is acknowledged that was not before.
func (w *writer) moves(t *testing.T) {
	count := func() int {
		w.mutex.Lock()
		defer w.mutex.Unlock()

		return len(w.times)
	}
	before := count()

	wait(t, "writes go on", func() bool { return count() > before+2 })
}

// Ends it, and says how long writes stood at most from this time on.
func (w *writer) finish(since time.Time) time.Duration {
	close(w.stop)
	w.under.Wait()

	last, longest := since, time.Duration(0)

	for _, at := range w.times {
		if at.After(since) {
			longest = max(longest, at.Sub(last))
			last = at
		}
	}

	return longest
}

// Fails if one that was acknowledged is not there.
func (w *writer) verify(t *testing.T) {
	t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	answer, err := w.client.Get(ctx, w.name+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	must(t, err)

	there := map[string]bool{}
	for _, pair := range answer.Kvs {
		there[string(pair.Key)] = true
	}

	for _, key := range w.acknowledged {
		if !there[key] {
			t.Errorf("%s was acknowledged and is lost", key)
		}
	}
}
