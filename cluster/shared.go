package cluster

import (
	"context"
	"net/url"
	"os"
	"sync"

	"github.com/deviceops/deviceops"
)

// TestURLVariable names a PostgreSQL server for tests to use instead of one of
// their own. Its user must be allowed to create databases.
const TestURLVariable = "DEVICEOPS_TEST_DATABASE_URL"

var shared struct {
	sync.Mutex
	cluster *Cluster
}

// Shared is one temporary cluster for all tests of a process, started by the
// first call. It is fast because it does not survive a power cut. RunTests
// stops it.
func Shared(ctx context.Context) (*Cluster, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil {
		return shared.cluster, nil
	}
	c, err := openShared(ctx)
	if err == nil {
		shared.cluster = c
	}
	return c, err
}

func openShared(ctx context.Context) (*Cluster, error) {
	address := os.Getenv(TestURLVariable)
	if address == "" {
		return Start(ctx, Config{Temporary: true, volatile: true, Log: os.Stderr})
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s: %w", TestURLVariable, err)
	}
	return &Cluster{url: *u, attached: true, release: func() {}}, nil
}

// RunTests runs the tests of a package and stops the shared cluster. It is the
// body of TestMain: os.Exit(cluster.RunTests(m)).
func RunTests(m interface{ Run() int }) int {
	defer stopShared()
	return m.Run()
}

func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil {
		shared.cluster.Stop(context.Background())
		shared.cluster = nil
	}
}
