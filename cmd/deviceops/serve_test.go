//go:build !lean

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/cluster/porttest"
	"github.com/deviceops/deviceops/dev"
)

// installation is a production installation on one machine: servers of their
// own, and a process for each role.
type installation struct {
	home
	broker      string
	mosquitto   *process
	environment []string
}

// install starts the servers and notes where they are, as an administrator
// would, in the environment.
func install(t *testing.T) *installation {
	h := newHome(t)
	port := porttest.Free(t)
	i := &installation{home: h, broker: fmt.Sprintf("tcp://127.0.0.1:%d", port), mosquitto: h.startMosquitto(port)}
	h.startStack("--parts", "postgres,temporal")
	postgres, err := cluster.Attach(t.Context(), filepath.Join(h.data, dev.PartPostgres))
	require.NoError(t, err)
	token, err := os.ReadFile(filepath.Join(h.data, "admin-token"))
	require.NoError(t, err)
	i.environment = []string{
		"DEVICEOPS_DATABASE_URL=" + postgres.URL("deviceops"),
		"DEVICEOPS_TEMPORAL_ADDRESS=127.0.0.1:" + strconv.Itoa(h.port(dev.PartTemporal)),
		"DEVICEOPS_TEMPORAL_NAMESPACE=" + dev.Namespace,
		"DEVICEOPS_MQTT_URL=" + i.broker,
		"DEVICEOPS_ADMIN_TOKEN=" + strings.TrimSpace(string(token)),
	}
	return i
}

// server is a process of an installation, and where it answers HTTP.
type server struct {
	*process
	url string
}

// serve starts a process with roles and waits until it is ready.
func (i *installation) serve(roles string) server {
	port := porttest.Free(i.t)
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(append(os.Environ(), i.environment...), actAsProgram+"=1",
		"DEVICEOPS_ROLES="+roles, fmt.Sprintf("DEVICEOPS_LISTEN=127.0.0.1:%d", port))
	s := server{process: startProcess(i.t, cmd), url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	require.Eventually(i.t, func() bool { status, _ := s.get("/readyz"); return status == http.StatusOK }, 30*time.Second, 100*time.Millisecond,
		"%s was to become ready; it said:\n%s", roles, lazy(func() any { return s.output() }))
	return s
}

// get gives the status and the body of an answer; 0 when there is none.
func (s server) get(path string) (status int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(s.t, err)
	return answerTo(request)
}

// answerTo gives the status and the body of an answer; 0 and why when there is none.
func answerTo(request *http.Request) (status int, body string) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// requireHealth requires that a server answers for itself and names its checks.
func (s server) requireHealth(checks ...string) {
	status, body := s.get("/healthz")
	require.Equal(s.t, http.StatusOK, status)
	require.JSONEq(s.t, `{"status":"ok"}`, body)
	status, body = s.get("/readyz")
	require.Equal(s.t, http.StatusOK, status)
	wanted := `{"` + strings.Join(checks, `":"ok","`) + `":"ok"}`
	require.JSONEq(s.t, `{"ready":true,"checks":`+wanted+`}`, body)
	_, body = s.get("/metrics")
	require.Contains(s.t, body, "go_goroutines")
}

// lanes gives how many lanes a gateway holds, by its metrics.
func (s server) lanes() int {
	_, body := s.get("/metrics")
	m := regexp.MustCompile(`(?m)^deviceops_gateway_lanes (\d+)$`).FindStringSubmatch(body)
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	require.NoError(s.t, err)
	return n
}

func (s server) awaitLanes(n int) {
	require.Eventually(s.t, func() bool { return s.lanes() == n }, 40*time.Second, 100*time.Millisecond,
		"the gateway was to hold %d lanes, it holds %s", n, lazy(func() any { return s.lanes() }))
}

func TestServeRolesAsProcesses(t *testing.T) {
	t.Parallel()
	const devices = 40
	i := install(t)
	api, worker, gateway := i.serve("api"), i.serve("worker"), i.serve("gateway")
	api.requireHealth("broker", "store", "temporal")
	worker.requireHealth("broker", "store", "temporal")
	gateway.requireHealth("broker", "lanes", "store", "temporal")
	gateway.awaitLanes(4)
	status, _ := gateway.get("/v1/devices")
	require.Equal(t, http.StatusNotFound, status, "only the role api serves the API")

	i.login(api)
	f := i.startFleet(i.broker, devices, "--latency", "500ms", "--ramp", "25s")
	f.awaitActive(devices / 8)

	// A second gateway takes its share, and all when the first one is killed.
	second := i.serve("gateway")
	second.awaitLanes(2)
	gateway.awaitLanes(2)
	t.Logf("%d of %d devices are active when a gateway is killed", f.active(), devices)
	gateway.kill()
	second.awaitLanes(4)
	f.awaitActive(devices)
	f.requireNoRepeats()

	i.mosquitto.kill()
	require.Eventually(t, func() bool {
		status, body := second.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"ready":false`)
	}, 20*time.Second, 100*time.Millisecond, "a gateway without a broker is not ready")
	status, _ = second.get("/healthz")
	require.Equal(t, http.StatusOK, status, "a restart would not help it")
	for _, s := range []server{second, worker, api} {
		require.Zero(t, s.interrupt(10*time.Second), s.output())
	}
}

// login makes the API of an installation the one that the home's commands and
// client use.
func (i *installation) login(api server) {
	folder, err := dev.OpenFolder(i.data)
	require.NoError(i.t, err)
	port, err := strconv.Atoi(api.url[strings.LastIndex(api.url, ":")+1:])
	require.NoError(i.t, err)
	require.NoError(i.t, folder.RememberPort("api", port))
	token, err := os.ReadFile(filepath.Join(i.data, "admin-token"))
	require.NoError(i.t, err)
	require.Contains(i.t, i.must("login", "--server", api.url, "--token", strings.TrimSpace(string(token))), "Logged in")
}

func TestServeRefusesWhatCannotServe(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	servers := "--temporal-address 127.0.0.1:1 --mqtt-url tcp://127.0.0.1:1 --listen 127.0.0.1:0 "
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{servers, 1, "--database-url is missing"},
		{servers + "--database-url postgres://127.0.0.1:1/x --roles cook", 1, `there is no role "cook"; roles are api, gateway, worker`},
		{servers + "--database-url postgres://127.0.0.1:1/x --listen nowhere", 1, "listen on nowhere"},
		{servers + "--database-url postgres://127.0.0.1:1/x --keep-samples 5m", 1, "samples are kept for 5m0s: keep them for 1h0m0s or longer"},
		{servers + "--config /nowhere.yaml", 2, "there is no settings file /nowhere.yaml"},
		{servers + "--log-level loud", 2, "use debug, info, warn or error"},
		{servers + "--lanes many", 2, "invalid argument"},
	} {
		out, code := h.run(append([]string{"serve"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.code, code, "%s: %s", c.args, out)
		require.Contains(t, out, c.says)
	}
}
