package dev

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/serve"
)

// AllParts gives the parts of a whole stack: the servers and the roles.
func AllParts() []string {
	return append([]string{PartTemporal, PartBroker, PartPostgres}, serve.Roles()...)
}

// Options say what of the stack to run, and where. The zero value is a whole
// stack in a temporary folder.
type Options struct {
	// Data keeps the state over restarts. Empty: a temporary folder, removed at
	// the end.
	Data string

	// Ephemeral removes Data at the end, as a temporary folder is.
	Ephemeral bool

	// Parts this process runs. Default: all. The others run in processes with
	// the same Data.
	Parts []string

	// Broker is the URL of an MQTT broker to use in place of the embedded one.
	Broker string

	// APIPort is the port to prefer for the API; the next free one is taken
	// where it is in use. Default: 8080.
	APIPort int

	// ArtifactTTL is how long the URL in an install command lets a download
	// begin. Default: that of serve.
	ArtifactTTL time.Duration

	// AllowNetworks are the private networks that http.request may reach, such
	// as 127.0.0.0/8.
	AllowNetworks []string

	// Patience is how long to wait for parts that other processes run. Default:
	// one minute.
	Patience time.Duration

	// Version of the product, for the API.
	Version string

	// Out takes lines for people about what takes long. Default: none are
	// written.
	Out io.Writer

	// Log takes what the roles say. Default: nothing is said.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if len(o.Parts) == 0 {
		o.Parts = AllParts()
	}
	if o.Broker != "" {
		o.Parts = slices.DeleteFunc(slices.Clone(o.Parts), func(p string) bool { return p == PartBroker })
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.APIPort == 0 {
		o.APIPort = 8080
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	return o
}

func (o Options) check() error {
	for _, part := range o.Parts {
		if !slices.Contains(AllParts(), part) {
			return deviceops.Errorf(deviceops.EINVALID, "there is no part %q; parts are %s", part, strings.Join(AllParts(), ","))
		}
	}
	if o.Data == "" && len(o.Parts) < len(AllParts()) && o.Broker == "" {
		return deviceops.Errorf(deviceops.EINVALID, "parts in several processes share a folder: name it with --data")
	}
	return nil
}

// runs reports whether this process runs a part.
func (o Options) runs(part string) bool { return slices.Contains(o.Parts, part) }

// roles gives the roles among the parts.
func (o Options) roles() []string {
	var roles []string
	for _, role := range serve.Roles() {
		if o.runs(role) {
			roles = append(roles, role)
		}
	}
	return roles
}
