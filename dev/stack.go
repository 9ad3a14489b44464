package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/serve"
)

// Stack is a running stack, or the parts of it that this process runs.
type Stack struct {
	// Server holds the roles of this process; nil when it runs none.
	Server *serve.Server

	options   Options
	folder    *Folder
	temporary bool
	token     string
	embedded  *Embedded
	parts     *Parts

	databaseURL, temporalAddress, brokerURL, apiURL string
}

// Start brings up the parts and returns when they are ready for use. EINVALID
// for options that make no sense, ECONFLICT when a part of this folder runs
// already, EUNAVAILABLE when one can't be brought up.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Stack{options: o, brokerURL: o.Broker}
	if err := s.prepare(); err != nil {
		s.tidy()
		return nil, err
	}
	parts, err := StartParts(ctx, s.plan()...)
	if err != nil {
		s.tidy()
		return nil, err
	}
	s.parts = parts
	return s, nil
}

// prepare opens the folder, takes this process's parts of it and finds the
// administrator's token.
func (s *Stack) prepare() (err error) {
	dir := s.options.Data
	s.temporary = s.options.Ephemeral || dir == ""
	if dir == "" {
		if dir, err = temporaryFolder(); err != nil {
			return err
		}
	}
	if s.folder, err = OpenFolder(dir); err != nil {
		return err
	}
	if err := s.folder.Lock(s.options.Parts...); err != nil {
		return err
	}
	s.token, err = readOrMake(s.folder.Path("admin-token"))
	return err
}

// temporaryFolder makes a folder that PostgreSQL's user can pass through.
func temporaryFolder() (string, error) {
	dir, err := os.MkdirTemp("", "deviceops-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "make a temporary folder: %w", err)
	}
	return dir, nil
}

// readOrMake gives the secret in a file, and makes one where there is none.
func readOrMake(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	}
	if err != nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "keep the administrator's token: %w", err)
	}
	token := "dops_" + rand.Text()
	_, err = file.WriteString(token + "\n")
	return token, errors.Join(err, file.Close())
}

// plan lists the parts of this process.
func (s *Stack) plan() []Part {
	s.embedded = NewEmbedded(s.folder, s.temporary, s.options.Out)
	parts := s.embedded.Parts(s.options.Parts...)
	if roles := s.options.roles(); len(roles) > 0 {
		parts = append(parts, Part{
			Name: strings.Join(roles, ","), After: []string{PartPostgres, PartTemporal, PartBroker},
			Start: s.startRoles, Done: func() <-chan struct{} { return s.Server.Done() },
			Stop: func(ctx context.Context) error { return s.Server.Close(ctx) },
		})
	}
	return parts
}

func (s *Stack) startRoles(ctx context.Context) error {
	if err := s.locate(ctx); err != nil {
		return err
	}
	listener, err := s.listen()
	if err != nil {
		return err
	}
	downloads, err := s.downloadURL()
	if err != nil {
		return err
	}
	s.Server, err = serve.Start(ctx, serve.Config{
		Roles: s.options.roles(), DatabaseURL: s.databaseURL, AllowNetworks: s.options.AllowNetworks,
		TemporalAddress: s.temporalAddress, TemporalNamespace: Namespace,
		MQTT: gateway.Config{Broker: s.brokerURL}, Holder: "dev", Listener: listener, // the folder is locked: nobody else has the role
		AdminToken: s.token, SecretsFile: s.folder.Path("secrets.json"), PayloadKeys: serve.DefaultPayloadKeys,
		Artifacts:   serve.Artifacts{Store: "file://" + s.folder.Path("artifacts"), URL: downloads, TTL: s.options.ArtifactTTL},
		RouteFolder: s.folder.Path("routes"),
		Patience:    s.options.Patience, Version: s.options.Version, Log: s.options.Log,
	})
	if err != nil {
		return err
	}
	return poll(ctx, s.options.Patience, s.Server.Ready)
}

// locate finds the servers that the roles need: those of this process, or those
// that other processes of the same folder run, which may be about to start.
func (s *Stack) locate(ctx context.Context) error {
	return poll(ctx, s.options.Patience, func(ctx context.Context) (err error) {
		if s.databaseURL, err = s.embedded.DatabaseURL(ctx); err != nil {
			return err
		}
		if s.temporalAddress, err = s.embedded.TemporalAddress(); err != nil {
			return err
		}
		if s.options.Broker != "" {
			return nil
		}
		s.brokerURL, err = s.embedded.BrokerURL()
		return err
	})
}

// poll calls try until it gives nil or patience is over; then it gives the
// last error.
func poll(ctx context.Context, patience time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// listen opens the API's port, or the port for the health of other roles.
func (s *Stack) listen() (listener net.Listener, err error) {
	name, preferred := serve.RoleAPI, s.options.APIPort
	if !s.options.runs(serve.RoleAPI) {
		name, preferred = "health-"+s.options.roles()[0], s.options.APIPort+1
	}
	err = s.embedded.onPort(name, preferred, func(port int) (err error) {
		if listener, err = net.Listen("tcp", loopback(port)); err != nil {
			return deviceops.Errorf(deviceops.ECONFLICT, "port %d for the API is taken: end the program that uses it", port)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.apiURL = "http://" + listener.Addr().String()
	return listener, nil
}

// downloadURL is the API's URL for roles that run apart from it: the port that
// it has, or one that is promised to it. "" where this process runs the API.
func (s *Stack) downloadURL() (string, error) {
	if s.options.runs(serve.RoleAPI) {
		return "", nil
	}
	port, err := s.folder.KnownPort(serve.RoleAPI)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		port, err = s.folder.Port(serve.RoleAPI, s.options.APIPort)
	}
	return "http://" + loopback(port), err
}

// APIURL is where the API, or the health of the other roles, is answered; ""
// when this process runs no roles.
func (s *Stack) APIURL() string { return s.apiURL }

// BrokerURL is where devices connect: tcp://host:port.
func (s *Stack) BrokerURL() string { return s.brokerURL }

// TemporalAddress is the frontend's host:port.
func (s *Stack) TemporalAddress() string { return s.temporalAddress }

// DatabaseURL is the address of the product's database.
func (s *Stack) DatabaseURL() string { return s.databaseURL }

// Token is the administrator's.
func (s *Stack) Token() string { return s.token }

// Dir is the data folder.
func (s *Stack) Dir() string { return s.folder.Path() }

// Client gives a client of the API with the administrator's token.
func (s *Stack) Client() *client.Client { return client.New(s.apiURL, s.token) }

// Failed gives the error of a part that ends by itself.
func (s *Stack) Failed() <-chan error { return s.parts.Failed() }

// Close ends all parts within ten seconds and removes a temporary folder.
func (s *Stack) Close(ctx context.Context) error {
	err := s.parts.Stop(ctx)
	s.tidy()
	return err
}

func (s *Stack) tidy() {
	if s.folder == nil {
		return
	}
	_ = s.folder.Close()
	if s.temporary {
		_ = os.RemoveAll(s.folder.Path())
	}
}
