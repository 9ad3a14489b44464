package channel_test

import (
	"os"
	"testing"

	"github.com/deviceops/deviceops/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }
