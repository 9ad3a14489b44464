package dev

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// temporalDirVariable makes the test binary a Temporal server to kill.
const temporalDirVariable = "DEVICEOPS_TEST_TEMPORAL_DIR"

const testQueue = "test"

// waitForSignal ends with what it is sent.
func waitForSignal(ctx workflow.Context) (string, error) {
	var said string
	workflow.GetSignalChannel(ctx, "say").Receive(ctx, &said)
	return said, nil
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{
		HostPort:  address,
		Namespace: Namespace,
		Logger:    temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func startWorker(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, testQueue, worker.Options{})
	w.RegisterWorkflow(waitForSignal)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func startRun(t *testing.T, c client.Client, id string) {
	t.Helper()
	options := client.StartWorkflowOptions{
		ID:                    id,
		TaskQueue:             testQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.AttributeDevice.ValueSet("kiosk-7")),
	}
	_, err := c.ExecuteWorkflow(t.Context(), options, waitForSignal)
	require.NoError(t, err)
}

// requireListedByDevice waits for the run to be listed, which is a moment after
// its start.
func requireListedByDevice(t *testing.T, c client.Client, device, id string) {
	t.Helper()
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("DeviceOpsDevice = '%s' and WorkflowId = '%s'", device, id),
	}
	require.Eventually(t, func() bool {
		list, err := c.ListWorkflow(t.Context(), request)
		return err == nil && len(list.Executions) == 1
	}, patience, 20*time.Millisecond)
}

func finishRun(t *testing.T, c client.Client, id string) {
	t.Helper()
	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", "say", "done"))
	var said string
	require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), &said))
	require.Equal(t, "done", said)
}

func startTemporal(t *testing.T, dir string) *Temporal {
	t.Helper()
	server, err := StartTemporal(t.Context(), TemporalConfig{Dir: dir})
	require.NoError(t, err)
	return server
}

func TestTemporal_RunsWorkflowsAndKeepsThem(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	server := startTemporal(t, dir)
	require.Less(t, time.Since(began), 10*time.Second)

	c := dial(t, server.Address())
	startWorker(t, c)
	startRun(t, c, "finished")
	finishRun(t, c, "finished")
	startRun(t, c, "open")

	requireListedByDevice(t, c, "kiosk-7", "open")

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, server.Close(ctx))

	again := startTemporal(t, dir)
	t.Cleanup(func() { again.Close(context.Background()) })
	c = dial(t, again.Address())
	startWorker(t, c)
	finishRun(t, c, "open")
}

func TestTemporal_SurvivesKill(t *testing.T) {
	dir := t.TempDir()
	address, kill := startTemporalProcess(t, dir)
	startRun(t, dial(t, address), "open")
	kill()

	server := startTemporal(t, dir)
	t.Cleanup(func() { server.Close(context.Background()) })
	c := dial(t, server.Address())
	startWorker(t, c)
	finishRun(t, c, "open")
}

// startTemporalProcess runs TestTemporalProcess in a process of its own.
func startTemporalProcess(t *testing.T, dir string) (address string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTemporalProcess$")
	cmd.Env = append(os.Environ(), temporalDirVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	line := make([]byte, 64)
	n, err := out.Read(line)
	require.NoError(t, err)
	return strings.TrimSpace(string(line[:n])), kill
}

// TestTemporalProcess is the process that TestTemporal_SurvivesKill kills.
func TestTemporalProcess(t *testing.T) {
	dir := os.Getenv(temporalDirVariable)
	if dir == "" {
		return
	}
	server := startTemporal(t, dir)
	io.WriteString(os.Stdout, server.Address()+"\n")
	select {}
}

func TestTemporal_PortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port

	_, err = StartTemporal(t.Context(), TemporalConfig{Dir: t.TempDir(), Port: port})
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "for Temporal is taken")
}

func TestTemporal_FileOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/"+temporalFile, []byte("this is no database at all, just words"), 0o600))
	_, err := StartTemporal(t.Context(), TemporalConfig{Dir: dir})
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "open Temporal's database")
}
