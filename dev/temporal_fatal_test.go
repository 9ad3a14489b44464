package dev

import (
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// A port that is lost between its choice and its use is an error of this part
// and not the end of the process.
func TestTemporal_PortLostToAnother(t *testing.T) {
	cfg := TemporalConfig{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	conf, err := temporalConfig(cfg)
	require.NoError(t, err)
	require.NoError(t, prepareTemporal(cfg, conf))
	l, err := net.Listen("tcp", conf.PublicClient.HostPort)
	require.NoError(t, err)
	defer l.Close()

	_, err = newTemporalServer(conf, cfg.Log)
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "Failed to start gRPC listener")
}
