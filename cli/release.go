package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) releaseCommand() *cobra.Command {
	return group("release", "Create and see versions of what devices run", a.releaseCreate(), a.releaseList(), a.releaseShow(), a.releaseKeys())
}

func (a *app) releaseList() *cobra.Command {
	var f deviceops.ReleaseFilter
	var page listFlags
	cmd := &cobra.Command{
		Use: "list [PROJECT]", Short: "List releases, newest first", Args: args(0, 1),
		Example: "  deviceops release list\n  deviceops release list kiosk-os --limit 5",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			f.Limit = page.limit
			if len(args) == 1 {
				f.Project = args[0]
			}
			releases, err := c.ListReleases(ctx, f, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(releases.Items), releases.Next)
			return a.show(releases, func(w *screen) { w.releases(releases.Items) })
		}),
	}
	accountFlag(cmd, &f.Account)
	page.add(cmd)
	return cmd
}

func (a *app) releaseShow() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use: "show PROJECT@VERSION", Short: "Show a release with its components and who signed it", Args: args(1, 1),
		Example: "  deviceops release show kiosk-os@2.4.0",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			ref, err := deviceops.ParseReleaseRef(args[0])
			if err != nil {
				return Usage(err)
			}
			r, err := c.Release(ctx, account, ref)
			if err != nil {
				return err
			}
			signed, err := signature(ctx, c, account, r)
			if err != nil {
				return err
			}
			return a.show(r, func(w *screen) { w.release(r, signed) })
		}),
	}
	accountFlag(cmd, &account)
	return cmd
}

// signature says who signed a release, in words.
func signature(ctx context.Context, c *client.Client, account string, r deviceops.Release) (string, error) {
	if r.Signature == "" {
		return "no", nil
	}
	keys, err := c.ListReleaseKeys(ctx, account)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(keys.Items, func(k deviceops.ReleaseKey) bool { return k.ID == r.Signer })
	if i < 0 {
		return "by key " + r.Signer + ", which is not registered any more", nil
	}
	return fmt.Sprintf("by %s (%s, key %s)", keys.Items[i].Name, keys.Items[i].Algorithm, r.Signer), nil
}

func (a *app) releaseKeys() *cobra.Command {
	list := listIn(a, words{short: "List the keys that sign releases", example: "  deviceops release keys list"},
		(*client.Client).ListReleaseKeys, (*screen).releaseKeys)
	g := group("keys", "See and set whose signatures releases need", a.releaseKeysAdd(), list, a.releaseKeysRemove())
	g.Long = `An account that has release keys, or has them above it, takes releases only that
one of these keys signed. The server verifies and never signs: private keys stay
with the authors and their CI.`
	return g
}

func (a *app) releaseKeysAdd() *cobra.Command {
	var account string
	var request deviceops.ReleaseKeyRequest
	cmd := &cobra.Command{
		Use: "add NAME FILE", Short: "Register a public key", Args: args(2, 2),
		Long: "Registers the public key in a PEM file (ed25519, or ECDSA on P-256). From then on\nthe account, and those below it, take signed releases only.",
		Example: `  openssl genpkey -algorithm ed25519 -out ci.key
  openssl pkey -in ci.key -pubout -out ci.pub
  deviceops release keys add ci ci.pub --reason "releases come from CI"`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			key, err := readReleaseKey(args[1])
			if err != nil {
				return err
			}
			request.Name, request.PEM = args[0], key.PEM
			report, err := c.AddReleaseKey(ctx, account, request)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) {
				word := "registered already, as " + report.Name
				if report.Created {
					word = "registered"
				}
				w.line("key %s is %s: account %s takes signed releases only", report.ID, word, report.Account)
			})
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &request.Reason)
	return cmd
}

func (a *app) releaseKeysRemove() *cobra.Command {
	var account, reason string
	cmd := &cobra.Command{
		Use: "remove ID", Short: "Remove a key: no new release that it signs is taken", Args: args(1, 1),
		Example: "  deviceops release keys remove 3f9a12c4 --reason \"the laptop was stolen\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			left, err := c.RemoveReleaseKey(ctx, account, args[0], reason)
			if err != nil {
				return err
			}
			return a.show(left, func(w *screen) {
				w.line("key %s is removed", args[0])
				if len(left.Items) == 0 {
					w.line("No key is left: releases need no signature any more.")
				}
			})
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &reason)
	return cmd
}

// readReleaseKey reads a public key out of a file.
func readReleaseKey(file string) (deviceops.ReleaseKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return deviceops.ReleaseKey{}, deviceops.Errorf(deviceops.EINVALID, "cannot read the key: %w", err)
	}
	key, err := deviceops.ParseReleaseKey(string(text))
	if err != nil {
		return key, deviceops.Errorf(deviceops.EINVALID, "%s: %s", file, deviceops.ErrorMessage(err))
	}
	return key, nil
}

func (w *screen) releases(releases []deviceops.Release) {
	rows := make([][]string, len(releases))
	for i, r := range releases {
		signed := "no"
		if r.Signature != "" {
			signed = r.Signer
		}
		rows[i] = []string{r.Ref().String(), r.Account, fmt.Sprint(len(r.Components)), bytesText(r.Size()), signed, w.when(r.CreatedAt), r.CreatedBy, cut(r.Notes, 50)}
	}
	w.table([]string{"RELEASE", "ACCOUNT", "COMPONENTS", "SIZE", "SIGNED", "CREATED", "BY", "NOTES"}, rows)
}

func (w *screen) release(r deviceops.Release, signed string) {
	configuration := ""
	if n := len(r.Configuration); n > 0 {
		configuration = counted(n, "key") + ", shown by -o yaml"
	}
	w.fields(
		"release", r.Ref().String(), "account", r.Account, "created", w.when(r.CreatedAt)+" by "+r.CreatedBy, "signed", signed, "hash", r.Hash,
		"requires", constraints(r.Requires), "from", string(r.From), "reversible", yesNo(r.Reversible), "downgrade", map[bool]string{true: "allowed"}[r.Downgrade],
		"configuration", configuration, "notes", cut(r.Notes, 200),
	)
	if len(r.Components) == 0 {
		return
	}
	rows := make([][]string, len(r.Components))
	for i, c := range r.Components {
		where := "stored here"
		if c.URL != "" {
			where = c.URL
		}
		rows[i] = []string{c.Name, c.Kind, c.Version, bytesText(c.Size), dash(c.Group), c.SHA256, where}
	}
	w.line("")
	w.table([]string{"COMPONENT", "KIND", "VERSION", "SIZE", "GROUP", "SHA-256", "WHERE"}, rows)
}

func (w *screen) releaseKeys(keys []deviceops.ReleaseKey) {
	rows := make([][]string, len(keys))
	for i, k := range keys {
		rows[i] = []string{k.ID, k.Name, k.Algorithm, k.Account, w.when(k.AddedAt), k.AddedBy}
	}
	w.table([]string{"ID", "NAME", "ALGORITHM", "ACCOUNT", "ADDED", "BY"}, rows)
}

func constraints(all map[string]deviceops.Constraint) string {
	var parts []string
	for name, c := range all {
		parts = append(parts, name+" "+string(c))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// bytesText gives a number of bytes as people read it; - where it is not known.
func bytesText(n int64) string {
	switch {
	case n <= 0:
		return "-"
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}
