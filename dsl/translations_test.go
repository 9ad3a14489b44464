package dsl

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// shelf holds profiles that are published, and counts how often it is asked.
type shelf struct {
	deviceops.Documents
	docs  []deviceops.Document
	asked int
	down  bool
}

func (s *shelf) NewestDocuments(context.Context, string) ([]deviceops.Document, error) {
	s.asked++
	if s.down {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "down")
	}
	return s.docs, nil
}

func (s *shelf) FindDocument(_ context.Context, account, _, name string, _ int) (deviceops.Document, error) {
	for _, d := range s.docs {
		if d.Account == account && d.Name == name {
			return d, nil
		}
	}
	return deviceops.Document{}, deviceops.Errorf(deviceops.ENOTFOUND, "none")
}

func profileOn(account, name, topic string) deviceops.Document {
	source := "profile: " + name + "\n"
	if topic != "" {
		source += "translate: [ { on: '" + topic + "', heartbeat: true } ]\n"
	}
	return deviceops.Document{Account: account, Kind: deviceops.KindProfile, Name: name, Version: 1, Hash: account + topic, Source: source}
}

func TestTranslationsFollowWhatIsPublished(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	s := &shelf{docs: []deviceops.Document{
		profileOn("root", "sensor", "a/{device}/x"), profileOn("acme", "sensor", ""), profileOn("acme/emea", "sensor", "b/{device}/x"),
	}}
	tr := &Translations{Documents: s, Now: func() time.Time { return now }}
	filters, err := tr.Filters(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a/+/x", "b/+/x"}, filters)

	hearing, err := tr.Hearing(t.Context(), "b/s1/x")
	require.NoError(t, err)
	require.Len(t, hearing, 1)
	require.Equal(t, "acme/emea", hearing[0].Account)
	for topic, want := range map[string]string{"b/s1/x": "sensor", "b/s1/y": ""} {
		profile, err := tr.OfDevices(t.Context(), topic)
		require.NoError(t, err)
		require.Equal(t, want, profile)
	}
	for account, hears := range map[string]string{"root": "root", "other": "root", "acme": "", "acme/emea": "acme/emea", "acme/emea/x": "acme/emea"} {
		p, err := tr.Translating(t.Context(), account, "sensor")
		require.NoError(t, err)
		if hears == "" {
			require.Nil(t, p, "the nearest profile of this name speaks the device protocol")
			continue
		}
		require.Equal(t, hears, p.Account)
	}
	require.Equal(t, 1, s.asked, "it is believed for a while")

	s.docs = s.docs[1:]
	tr.Refresh()
	filters, err = tr.Filters(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"b/+/x"}, filters)
	s.down, now = true, now.Add(time.Hour)
	filters, err = tr.Filters(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"b/+/x"}, filters, "what was read before is believed")
}
