package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

// newRelease is what the flags of release create say.
type newRelease struct {
	request  deviceops.ReleaseRequest
	account  string
	parts    parts
	kinds    []string
	versions []string
	groups   []string
	requires []string
	from     string
	config   string
	key      string
}

func (a *app) releaseCreate() *cobra.Command {
	var n newRelease
	cmd := &cobra.Command{
		Use: "create PROJECT@VERSION", Short: "Create a release out of files and URLs", Args: args(1, 1),
		Long: `Uploads the files whose content the server does not have yet, and creates the
release. Made for CI: the same content again changes nothing; other content under
the same version is refused with what differs, before anything is uploaded.

--file uploads a component, --component names one that lies elsewhere; devices
install them in the order in which they are given here. A component's kind is its
name if that is os, firmware, app, config or model, else app; its version is the
release's.

--key signs the release and every component with a private key (PEM: ed25519, or
ECDSA on P-256), which does not leave this machine.`,
		Example: `  deviceops release create kiosk-os@2.4.0 --file os=./os.img --key ci.key --notes @NOTES.md
  deviceops release create kiosk-os@2.4.0 --file os=os.img --file player=player.tar --version-of player=7.1 \
      --group system=os,player --requires bootloader=">=3" --from ">=2.2" --config kiosk.yaml
  deviceops release create maps@2026.6 --component maps=https://cdn.example.com/maps.bin#sha256=0f34... --kind maps=model`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			if err := n.read(args[0]); err != nil {
				return err
			}
			report, err := a.createRelease(ctx, c, &n)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) {
				w.line("%s is %s (%s, %s)", report.Release.Ref(), w.paint(report.Outcome), counted(len(report.Release.Components), "component"), bytesText(report.Release.Size()))
			})
		}),
	}
	n.flags(cmd)
	return cmd
}

func (n *newRelease) flags(cmd *cobra.Command) {
	f, r := cmd.Flags(), &n.request
	f.Var(partsFlag{&n.parts, false}, "file", "component to upload; repeat for more")
	f.Var(partsFlag{&n.parts, true}, "component", "component that lies elsewhere, URL#sha256=HEX[&size=BYTES]; repeat for more")
	f.StringArrayVar(&n.kinds, "kind", nil, "NAME=KIND of a component: os, firmware, app, config or model")
	f.StringArrayVar(&n.versions, "version-of", nil, "NAME=VERSION of a component that has its own")
	f.StringArrayVar(&n.groups, "group", nil, "GROUP=NAME,NAME: components that activate and revert together")
	f.StringVar(&n.config, "config", "", "YAML or JSON file with the configuration that belongs to the release")
	f.StringArrayVar(&n.requires, "requires", nil, `NAME=CONSTRAINT: what a device must run before, such as bootloader=">=3"`)
	f.StringVar(&n.from, "from", "", `versions that a device may come from, such as ">=2.2 <3"`)
	f.BoolVar(&r.Irreversible, "irreversible", false, "a device cannot go back to what it came from")
	f.BoolVar(&r.Downgrade, "allow-downgrade", false, "it may take devices to lower versions")
	f.StringVar(&r.Notes, "notes", "", "what is new, or @FILE")
	f.StringVar(&n.key, "key", "", "PEM file with the private key that signs")
	accountFlag(cmd, &n.account)
	reasonFlag(cmd, &r.Reason)
}

// parts are the components in the order of the flags that name them.
type parts []part

type part struct {
	deviceops.ComponentRequest
	file string // "": it lies elsewhere
}

// partsFlag is --file or --component.
type partsFlag struct {
	to        *parts
	elsewhere bool
}

// String implements pflag.Value.
func (p partsFlag) String() string { return "" }

// Type implements pflag.Value.
func (p partsFlag) Type() string {
	if p.elsewhere {
		return "NAME=URL"
	}
	return "NAME=FILE"
}

// Set implements pflag.Value.
func (p partsFlag) Set(text string) error {
	name, where, ok := strings.Cut(text, "=")
	if !ok || name == "" || where == "" {
		return fmt.Errorf("write %s", p.Type())
	}
	if !p.elsewhere {
		*p.to = append(*p.to, part{deviceops.ComponentRequest{Name: name}, where})
		return nil
	}
	component, err := elsewhere(name, where)
	*p.to = append(*p.to, part{ComponentRequest: component})
	return err
}

// elsewhere reads URL#sha256=HEX&size=BYTES.
func elsewhere(name, text string) (c deviceops.ComponentRequest, err error) {
	url, facts, _ := strings.Cut(text, "#")
	c = deviceops.ComponentRequest{Name: name, URL: url}
	for fact := range strings.SplitSeq(facts, "&") {
		switch key, value, _ := strings.Cut(fact, "="); key {
		case "sha256":
			c.SHA256 = strings.ToLower(value)
		case "size":
			if c.Size, err = strconv.ParseInt(value, 10, 64); err != nil {
				return c, fmt.Errorf("size %q is no number of bytes", value)
			}
		}
	}
	if !deviceops.ValidSHA256(c.SHA256) {
		return c, fmt.Errorf("say what has to come: NAME=%s#sha256=HEX", url)
	}
	return c, nil
}

// read turns the flags into the request, but for what the files hold.
func (n *newRelease) read(name string) error {
	ref, err := deviceops.ParseReleaseRef(name)
	if err != nil {
		return Usage(err)
	}
	n.request.Project, n.request.Version, n.request.From = ref.Project, ref.Version, deviceops.Constraint(n.from)
	if len(n.parts) == 0 && n.config == "" {
		return Usage(fmt.Errorf("a release of nothing: name a --file, a --component or a --config"))
	}
	if err := n.perComponent(); err != nil {
		return Usage(err)
	}
	requires, err := pairs(n.requires)
	if err != nil {
		return err
	}
	for component, constraint := range requires {
		if n.request.Requires == nil {
			n.request.Requires = map[string]deviceops.Constraint{}
		}
		n.request.Requires[component] = deviceops.Constraint(constraint)
	}
	return n.readFiles()
}

// perComponent hands out what --kind, --version-of and --group say.
func (n *newRelease) perComponent() error {
	for _, flag := range []struct {
		name  string
		form  string
		pairs []string
		set   func(c *deviceops.ComponentRequest, value string)
	}{
		{"kind", "NAME=KIND", n.kinds, func(c *deviceops.ComponentRequest, v string) { c.Kind = v }},
		{"version-of", "NAME=VERSION", n.versions, func(c *deviceops.ComponentRequest, v string) { c.Version = v }},
		{"group", "GROUP=NAME,NAME", turned(n.groups), func(c *deviceops.ComponentRequest, v string) { c.Group = v }},
	} {
		for _, pair := range flag.pairs {
			name, value, ok := strings.Cut(pair, "=")
			i := slices.IndexFunc(n.parts, func(p part) bool { return p.Name == name })
			if !ok || name == "" || value == "" {
				return fmt.Errorf("--%s: write %s", flag.name, flag.form)
			}
			if i < 0 {
				return fmt.Errorf("--%s names %q, and no --file or --component is named so", flag.name, name)
			}
			flag.set(&n.parts[i].ComponentRequest, value)
		}
	}
	return nil
}

// turned makes NAME=GROUP of GROUP=NAME,NAME.
func turned(groups []string) []string {
	var out []string
	for _, g := range groups {
		group, names, _ := strings.Cut(g, "=")
		for name := range strings.SplitSeq(names, ",") {
			out = append(out, name+"="+group)
		}
	}
	return out
}

func (n *newRelease) readFiles() error {
	if file, ok := strings.CutPrefix(n.request.Notes, "@"); ok {
		text, err := os.ReadFile(file)
		if err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "cannot read the notes: %w", err)
		}
		n.request.Notes = strings.TrimSpace(string(text))
	}
	if n.config == "" {
		return nil
	}
	text, err := os.ReadFile(n.config)
	if err == nil {
		err = yaml.Unmarshal(text, &n.request.Configuration)
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot read the configuration %s: %w", n.config, err)
	}
	return nil
}

// createRelease hashes the files, signs, uploads what is missing and creates the
// release.
func (a *app) createRelease(ctx context.Context, c *client.Client, n *newRelease) (deviceops.ReleaseReport, error) {
	for i := range n.parts {
		if err := a.measure(&n.parts[i]); err != nil {
			return deviceops.ReleaseReport{}, err
		}
		n.request.Components = append(n.request.Components, n.parts[i].ComponentRequest)
	}
	release := n.request.Release()
	if err := release.Check(); err != nil {
		return deviceops.ReleaseReport{}, err
	}
	if err := n.sign(&release); err != nil {
		return deviceops.ReleaseReport{}, err
	}
	if err := n.conflict(ctx, c, &release); err != nil {
		return deviceops.ReleaseReport{}, err
	}
	for _, p := range n.parts {
		if err := a.upload(ctx, c, n, p); err != nil {
			return deviceops.ReleaseReport{}, err
		}
	}
	request := release.Request()
	request.Reason = n.request.Reason
	return c.CreateRelease(ctx, n.account, request)
}

func (n *newRelease) sign(r *deviceops.Release) error {
	if n.key == "" {
		return nil
	}
	text, err := os.ReadFile(n.key)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot read the key: %w", err)
	}
	signer, err := client.NewSigner(text)
	if err != nil {
		return deviceops.Errorf(deviceops.ErrorCode(err), "%s: %s", n.key, deviceops.ErrorMessage(err))
	}
	return signer.Sign(r)
}

// conflict finds out before anything is uploaded whether the version is taken by
// other content. The server has the last word.
func (n *newRelease) conflict(ctx context.Context, c *client.Client, r *deviceops.Release) error {
	account := n.account
	if account == "" {
		me, err := c.Whoami(ctx)
		if err != nil {
			return err
		}
		account = me.Account
	}
	found, err := c.Release(ctx, n.account, r.Ref())
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		return nil
	case err != nil || found.Account != account || found.Hash == r.Hash:
		return err
	}
	return found.OtherContent(r)
}
