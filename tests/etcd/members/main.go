// Command members runs three members of a real etcd in one process, for tests that are not written in Go.
//
// Requests come on stdin and answers go to stdout, a JSON object a line. Answers carry the id of their request and come
// in any order: a question to a cluster without quorum takes as long as it takes. The first line out is the answer to no
// request: all members have started and agree on a leader. The process ends with its stdin.
//
//	{"id":1,"do":"status","member":0}       {"id":1,"status":{"member":1,"leader":2,"term":3,"learner":false}}
//	{"id":2,"do":"members","member":0}      {"id":2,"members":[{"id":1,"name":"cp-1","peer":"http://…","client":"http://…"},…]}
//	{"id":3,"do":"forfeit","member":0}      {"id":3,"moved":"cp-2"}
//	{"id":4,"do":"lead","member":0}         {"id":4}
//	{"id":5,"do":"stop","member":0}         {"id":5}
//	{"id":6,"do":"kill","member":0}         {"id":6}
//	{"id":7,"do":"start","member":0}        {"id":7}
//	{"id":8,"do":"write","member":0}        {"id":8,"error":"…"}
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// What is asked.
type request struct {
	ID     uint64 `json:"id"`
	Do     string `json:"do"`
	Member int    `json:"member"`
}

// What is answered: an error, or what belongs to the request.
type answer struct {
	ID      uint64   `json:"id"`
	Error   string   `json:"error,omitempty"`
	Status  *status  `json:"status,omitempty"`
	Members []member `json:"members,omitempty"`
	Moved   string   `json:"moved,omitempty"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s FOLDER", filepath.Base(os.Args[0]))
	}

	etcd, err := start(os.Args[1])
	if err != nil {
		return err
	}

	var lock sync.Mutex

	out := json.NewEncoder(os.Stdout)
	say := func(answer answer) {
		lock.Lock()
		defer lock.Unlock()

		// A reader that is gone closes stdin as well.
		_ = out.Encode(answer)
	}

	say(answer{})

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			return err
		}

		go func() { say(etcd.answer(request)) }()
	}

	return lines.Err()
}
