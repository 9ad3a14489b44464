package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestTokens(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		_, err := s.FindToken(t.Context(), "h1")
		requireCode(t, deviceops.ENOTFOUND, err)
		token := deviceops.Token{
			Hash: "h1", Principal: deviceops.Principal{Name: "token:ci", Account: "acme", Roles: []string{"author", "viewer"}},
			ExpiresAt: after(time.Hour), CreatedAt: noon,
		}
		require.NoError(t, s.SaveToken(t.Context(), token))
		found, err := s.FindToken(t.Context(), "h1")
		require.NoError(t, err)
		require.Equal(t, token, found)

		other := token
		other.Hash, other.Principal.Account, other.Principal.Roles = "h2", "beta", []string{}
		require.NoError(t, s.SaveToken(t.Context(), other))
		token.Hash, token.ExpiresAt, token.Principal.Roles = "h3", time.Time{}, []string{"admin"}
		require.NoError(t, s.SaveToken(t.Context(), token))
		_, err = s.FindToken(t.Context(), "h1")
		requireCode(t, deviceops.ENOTFOUND, err)
		for _, want := range []deviceops.Token{token, other} {
			found, err = s.FindToken(t.Context(), want.Hash)
			require.NoError(t, err)
			require.Equal(t, want, found)
		}
	})
}

func TestATokenHasOnePrincipal(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.SaveToken(t.Context(), deviceops.Token{Hash: "h", Principal: deviceops.Principal{Name: "a", Account: "acme"}}))
	requireCode(t, deviceops.ECONFLICT,
		s.SaveToken(t.Context(), deviceops.Token{Hash: "h", Principal: deviceops.Principal{Name: "b", Account: "acme"}}))
}

func TestAudit(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		entries := []deviceops.AuditEntry{
			{At: noon, Account: "acme", Actor: "user:maria", Action: "device.transition", Target: "device:k1", Reason: "r",
				Evidence: map[string]any{"from": "escrow", "n": int64(1), "f": 1.0}},
			{At: noon, Account: "acme/emea", Actor: "engine", Action: "document.publish", Target: "workflow:w@1"},
			{At: after(1e6), Account: "beta", Actor: "user:maria", Action: "device.transition", Target: "device:k1"},
		}
		require.NoError(t, s.AppendAudit(t.Context(), entries[:2]...))
		require.NoError(t, s.AppendAudit(t.Context(), entries[2]))
		require.NoError(t, s.AppendAudit(t.Context()))
		for i := range entries {
			entries[i].ID = int64(i + 1)
		}
		for name, c := range map[string]struct {
			filter deviceops.AuditFilter
			want   []deviceops.AuditEntry
		}{
			"the newest first": {deviceops.AuditFilter{}, []deviceops.AuditEntry{entries[2], entries[1], entries[0]}},
			"account":          {deviceops.AuditFilter{Account: "acme"}, []deviceops.AuditEntry{entries[1], entries[0]}},
			"target":           {deviceops.AuditFilter{Target: "device:k1"}, []deviceops.AuditEntry{entries[2], entries[0]}},
			"actor":            {deviceops.AuditFilter{Actor: "engine"}, []deviceops.AuditEntry{entries[1]}},
			"page":             {deviceops.AuditFilter{Before: 3, Limit: 1}, []deviceops.AuditEntry{entries[1]}},
		} {
			found, err := s.ListAudit(t.Context(), c.filter)
			require.NoError(t, err, name)
			require.Equal(t, c.want, found, name)
		}
	})
}

func TestTheAuditLogOnlyGrows(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.AppendAudit(t.Context(), deviceops.AuditEntry{Account: "acme", Action: "x"}))
	for _, sql := range []string{"update audit set action = 'y'", "delete from audit", "truncate audit"} {
		requireCode(t, deviceops.ECONFLICT, postgres.Exec(t.Context(), s, sql))
	}
}

func document(account, name string, version int, hash string) deviceops.Document {
	return deviceops.Document{
		Account: account, Kind: deviceops.KindWorkflow, Name: name, Version: version, Hash: hash, Source: "workflow: " + hash,
		PublishedAt: noon, PublishedBy: "user:maria", Reason: "r",
	}
}

func TestPublishDocument(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for _, c := range []struct {
			name    string
			publish deviceops.Document
			version int // 0: ECONFLICT
			created bool
		}{
			{"the first", document("acme", "w", 0, "h1"), 1, true},
			{"the same", document("acme", "w", 0, "h1"), 1, false},
			{"the same by number", document("acme", "w", 1, "h1"), 1, false},
			{"changed", document("acme", "w", 0, "h2"), 2, true},
			{"as it was before", document("acme", "w", 0, "h1"), 3, true},
			{"an old one", document("acme", "w", 2, "h2"), 2, false},
			{"with a number", document("acme", "w", 7, "h7"), 7, true},
			{"changed under its number", document("acme", "w", 7, "h8"), 0, false},
			{"between", document("acme", "w", 5, "h5"), 0, false},
			{"after the number", document("acme", "w", 0, "h8"), 8, true},
			{"of another account", document("acme/emea", "w", 0, "h9"), 1, true},
		} {
			stored, created, err := s.PublishDocument(t.Context(), c.publish)
			if c.version == 0 {
				requireCode(t, deviceops.ECONFLICT, err)
				continue
			}
			require.NoError(t, err, c.name)
			require.Equal(t, c.created, created, c.name)
			want := c.publish
			want.Version = c.version
			require.Equal(t, want, stored, c.name)
		}
		versions, err := s.DocumentVersions(t.Context(), "acme", deviceops.KindWorkflow, "w")
		require.NoError(t, err)
		numbers := []int{}
		for _, v := range versions {
			require.Empty(t, v.Source)
			numbers = append(numbers, v.Version)
		}
		require.Equal(t, []int{8, 7, 3, 2, 1}, numbers)
	})
}

func TestPublishDocumentAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	type outcome struct {
		version int
		err     error
	}
	outcomes := make(chan outcome, 8)
	for _, hash := range names("h", cap(outcomes)) {
		go func() {
			stored, _, err := s.PublishDocument(t.Context(), document("acme", "w", 0, hash))
			outcomes <- outcome{stored.Version, err}
		}()
	}
	var versions []int
	for range cap(outcomes) {
		o := <-outcomes
		require.NoError(t, o.err)
		versions = append(versions, o.version)
	}
	require.ElementsMatch(t, []int{1, 2, 3, 4, 5, 6, 7, 8}, versions)
}

func TestReadDocuments(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		var published []deviceops.Document
		for _, d := range []deviceops.Document{document("acme", "v", 0, "h1"), document("acme", "w", 0, "h1"), document("acme", "w", 0, "h2"), document("acme/emea", "w", 0, "h3")} {
			stored, _, err := s.PublishDocument(t.Context(), d)
			require.NoError(t, err)
			published = append(published, stored)
		}
		require.NoError(t, s.RetireDocument(t.Context(), "acme", published[0].Kind, "v"))
		heads := []deviceops.Document{published[3], published[0], published[1]}
		for i := range heads {
			heads[i].Source = ""
		}
		read, err := s.ReadDocuments(t.Context(), heads)
		require.NoError(t, err)
		require.ElementsMatch(t, []deviceops.Document{published[0], published[1], published[3]}, read, "whether they are shown or not")
		heads[1].Version = 7
		_, err = s.ReadDocuments(t.Context(), heads)
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestDocumentsAreLookedUpFromNearToFar(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		publish := func(account, name, hash string) {
			_, _, err := s.PublishDocument(t.Context(), document(account, name, 0, hash))
			require.NoError(t, err)
		}
		finds := func(account, name string, version int, want string) {
			t.Helper()
			d, err := s.FindDocument(t.Context(), account, deviceops.KindWorkflow, name, version)
			if want == "" {
				requireCode(t, deviceops.ENOTFOUND, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, d.Hash)
		}
		publish("root", "w", "r1")
		publish("root", "w", "r2")
		publish("acme", "w", "a1")
		publish("acme/emea", "only", "e1")

		finds("acme/emea", "w", 0, "a1")
		finds("acme/emea", "w", 2, "r2")
		finds("acme/emea", "w", 3, "")
		finds("beta", "w", 0, "r2")
		finds("", "w", 0, "r2")
		finds("acme", "only", 0, "")
		_, err := s.FindDocument(t.Context(), "acme", deviceops.KindProfile, "w", 0)
		requireCode(t, deviceops.ENOTFOUND, err)

		requireCode(t, deviceops.ENOTFOUND, s.RetireDocument(t.Context(), "acme/emea", deviceops.KindWorkflow, "w"))
		require.NoError(t, s.RetireDocument(t.Context(), "acme", deviceops.KindWorkflow, "w"))
		requireCode(t, deviceops.ENOTFOUND, s.RetireDocument(t.Context(), "acme", deviceops.KindWorkflow, "w"))
		finds("acme/emea", "w", 0, "r2")
		finds("acme/emea", "w", 1, "a1") // runs that use it go on
		versions, err := s.DocumentVersions(t.Context(), "acme", deviceops.KindWorkflow, "w")
		require.NoError(t, err)
		require.Equal(t, "root", versions[0].Account)

		publish("acme", "w", "a1")
		finds("acme/emea", "w", 0, "a1")
		require.NoError(t, s.RetireDocument(t.Context(), "root", deviceops.KindWorkflow, "w"))
		_, err = s.DocumentVersions(t.Context(), "beta", deviceops.KindWorkflow, "w")
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestListDocuments(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for _, d := range []deviceops.Document{
			document("root", "b", 0, "rb"), document("acme", "b", 0, "ab1"), document("acme", "b", 0, "ab2"), document("acme", "a", 0, "aa"),
			document("beta", "c", 0, "bc"), document("acme", "gone", 0, "g"), {Account: "acme", Kind: deviceops.KindProfile, Name: "z", Hash: "pz"},
		} {
			_, _, err := s.PublishDocument(t.Context(), d)
			require.NoError(t, err)
		}
		require.NoError(t, s.RetireDocument(t.Context(), "acme", deviceops.KindWorkflow, "gone"))
		for _, c := range []struct {
			account, kind string
			want          []string
		}{
			{"acme/emea", "", []string{"pz", "aa", "ab2"}},
			{"acme", deviceops.KindWorkflow, []string{"aa", "ab2"}},
			{"root", "", []string{"rb"}},
			{"acme", "rollout", []string{}},
		} {
			found, err := s.ListDocuments(t.Context(), c.account, c.kind)
			require.NoError(t, err)
			hashes := []string{}
			for _, d := range found {
				require.Empty(t, d.Source)
				hashes = append(hashes, d.Hash)
			}
			require.Equal(t, c.want, hashes, c.account)
		}
	})
}
