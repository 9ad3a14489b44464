package postgres_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

const sumOS = "0000000000000000000000000000000000000000000000000000000000000001"

func release(account, version string, change ...func(*deviceops.Release)) deviceops.Release {
	r := deviceops.Release{
		Account: account, Project: "kiosk-os", Version: version, Notes: "quieter fans",
		Components:    []deviceops.Component{{Name: "os", SHA256: sumOS, Size: 1 << 33, Order: 1, Group: "system"}, {Name: "app", Version: "7", SHA256: sumOS, URL: "https://example.com/app"}},
		Configuration: map[string]any{"brightness": int64(80), "ratio": 1.0}, Requires: map[string]deviceops.Constraint{"boot": ">=3"}, From: ">=2",
		Reversible: true, CreatedBy: "user:maria", CreatedAt: noon,
	}
	for _, f := range change {
		f(&r)
	}
	r.Normalize()
	return r
}

func TestReleasesAreCreatedOnce(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		r := release("acme", "2.4.0")
		report, err := s.CreateRelease(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, deviceops.ReleaseReport{Outcome: deviceops.ReleaseCreated, Release: r}, report)

		report, err = s.CreateRelease(t.Context(), release("acme", "2.4.0", func(r *deviceops.Release) { r.CreatedBy = "user:ben" }))
		require.NoError(t, err)
		require.Equal(t, deviceops.ReleaseReport{Outcome: deviceops.ReleaseUnchanged, Release: r}, report)

		found, err := s.FindRelease(t.Context(), "acme/shops", deviceops.ReleaseRef{Project: "kiosk-os", Version: "2.4.0"})
		require.NoError(t, err)
		require.Equal(t, r, found)
	})
}

func TestOtherContentUnderAVersionIsRefused(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	_, err := s.CreateRelease(t.Context(), release("acme", "2.4.0"))
	require.NoError(t, err)
	_, err = s.CreateRelease(t.Context(), release("acme", "2.4.0", func(r *deviceops.Release) { r.Components[0].Size++ }))
	requireCode(t, deviceops.ECONFLICT, err)
	require.EqualError(t, err, "kiosk-os@2.4.0 exists with other content: size of component os is 8589934592, yours is 8589934593. Give the change a new version")
}

func TestAnUnsignedReleaseCanBeSigned(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	sign := func(with string) func(*deviceops.Release) {
		return func(r *deviceops.Release) { r.Signature, r.Signer, r.Components[0].Signature = with, "k", "c-"+with }
	}
	_, err := s.CreateRelease(t.Context(), release("acme", "2.4.0"))
	require.NoError(t, err)
	for i, with := range []string{"first", "second"} {
		report, err := s.CreateRelease(t.Context(), release("acme", "2.4.0", sign(with)))
		require.NoError(t, err)
		require.Equal(t, []string{deviceops.ReleaseSigned, deviceops.ReleaseUnchanged}[i], report.Outcome)
		require.Equal(t, "first", report.Release.Signature, "what is signed stays so")
		require.Equal(t, "c-first", report.Release.Components[0].Signature)
	}
}

func TestReleasesAreCreatedOnceByMany(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	var wait sync.WaitGroup
	news := make(chan bool, 8)
	for range cap(news) {
		wait.Go(func() {
			report, err := s.CreateRelease(t.Context(), release("acme", "2.4.0"))
			news <- err == nil && report.Outcome == deviceops.ReleaseCreated
		})
	}
	wait.Wait()
	close(news)
	count := 0
	for isNew := range news {
		if isNew {
			count++
		}
	}
	require.Equal(t, 1, count)
}

func TestReleasesAreSeenAlongTheLineOfAccounts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		for _, r := range []deviceops.Release{
			release("root", "1"), release("acme", "1"), release("acme/shops", "2"), release("acmecorp", "1"),
			release("acme", "3", func(r *deviceops.Release) { r.Project = "other" }),
		} {
			_, err := s.CreateRelease(t.Context(), r)
			require.NoError(t, err)
		}
		list := func(f deviceops.ReleaseFilter) (names []string) {
			found, err := s.ListReleases(t.Context(), f)
			require.NoError(t, err)
			for _, r := range found {
				names = append(names, r.Account+" "+r.Ref().String())
			}
			return names
		}
		require.Equal(t, []string{"acme other@3", "acme/shops kiosk-os@2", "acme kiosk-os@1", "root kiosk-os@1"}, list(deviceops.ReleaseFilter{Account: "acme"}))
		require.Equal(t, []string{"acmecorp kiosk-os@1", "root kiosk-os@1"}, list(deviceops.ReleaseFilter{Account: "acmecorp"}))
		require.Len(t, list(deviceops.ReleaseFilter{}), 5)
		project := deviceops.ReleaseFilter{Account: "acme", Project: "kiosk-os", Limit: 2}
		require.Equal(t, []string{"acme/shops kiosk-os@2", "acme kiosk-os@1"}, list(project))
		project.After = deviceops.ReleaseCursor{Account: "acme", ReleaseRef: deviceops.ReleaseRef{Project: "kiosk-os", Version: "1"}}
		require.Equal(t, []string{"root kiosk-os@1"}, list(project))

		nearest, err := s.FindRelease(t.Context(), "acme/emea", deviceops.ReleaseRef{Project: "kiosk-os", Version: "1"})
		require.NoError(t, err)
		require.Equal(t, "acme", nearest.Account)
		_, err = s.FindRelease(t.Context(), "acme", deviceops.ReleaseRef{Project: "kiosk-os", Version: "2"})
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestReleaseKeys(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		key := deviceops.ReleaseKey{Account: "acme", ID: "k1", Name: "ci", Algorithm: deviceops.Ed25519, PEM: "pem", AddedBy: "user:maria", AddedAt: noon}
		stored, created, err := s.AddReleaseKey(t.Context(), key)
		require.NoError(t, err)
		require.True(t, created)
		require.Equal(t, key, stored)
		again, created, err := s.AddReleaseKey(t.Context(), deviceops.ReleaseKey{Account: "acme", ID: "k1", Name: "other"})
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, key, again)

		for account, want := range map[string]int{"acme": 1, "acme/shops": 1, "root": 0, "acmecorp": 0} {
			keys, err := s.ListReleaseKeys(t.Context(), account)
			require.NoError(t, err)
			require.Len(t, keys, want, account)
		}
		requireCode(t, deviceops.ENOTFOUND, s.RemoveReleaseKey(t.Context(), "acme/shops", "k1"))
		require.NoError(t, s.RemoveReleaseKey(t.Context(), "acme", "k1"))
		requireCode(t, deviceops.ENOTFOUND, s.RemoveReleaseKey(t.Context(), "acme", "k1"))
	})
}

func TestArtifactsAreFoundByAccountsBelow(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		a := deviceops.Artifact{Account: "acme", SHA256: sumOS, Size: 1 << 40, CreatedBy: "user:maria", CreatedAt: noon}
		require.NoError(t, s.SaveArtifact(t.Context(), a))
		again := a
		again.CreatedBy = "user:ben"
		require.NoError(t, s.SaveArtifact(t.Context(), again))
		for _, account := range []string{"acme", "acme/shops"} {
			found, err := s.FindArtifact(t.Context(), account, sumOS)
			require.NoError(t, err)
			require.Equal(t, a, found)
		}
		for _, account := range []string{"root", "acmecorp"} {
			_, err := s.FindArtifact(t.Context(), account, sumOS)
			requireCode(t, deviceops.ENOTFOUND, err)
		}
	})
}
