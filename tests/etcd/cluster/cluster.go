// Package cluster makes members of etcd with the settings that Talos leaves as they are: a heartbeat every 100 ms, an
// election after 1 s without one.
package cluster

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Configs of the members cp-1, cp-2, … of one cluster on loopback, each with its data in one of these folders.
func Configs(folders ...string) ([]*embed.Config, error) {
	configs := make([]*embed.Config, len(folders))
	initial := make([]string, len(folders))

	for i, folder := range folders {
		client, err := address()
		if err != nil {
			return nil, err
		}

		peer, err := address()
		if err != nil {
			return nil, err
		}

		config := embed.NewConfig()
		config.Name = fmt.Sprintf("cp-%d", i+1)
		config.Dir = filepath.Join(folder, "etcd")
		config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		configs[i] = config
		initial[i] = config.Name + "=" + peer.String()
	}

	for _, config := range configs {
		config.InitialCluster = strings.Join(initial, ",")
	}

	return configs, nil
}

// A port that is free.
func address() (url.URL, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}

	defer listener.Close()

	return url.URL{Scheme: "http", Host: listener.Addr().String()}, nil
}
