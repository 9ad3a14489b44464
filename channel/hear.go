package channel

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Hear implements deviceops.Channels.
func (c *Channels) Hear(ctx context.Context, hook deviceops.ChannelHook) (deviceops.ChannelNews, error) {
	ch, err := c.config.Source.Channel(ctx, hook.Account, hook.Channel)
	if err != nil {
		return deviceops.ChannelNews{}, err
	}
	if ch.Webhook == nil {
		return deviceops.ChannelNews{}, deviceops.Errorf(deviceops.EINVALID, "the channel %s listens to nothing: it has no webhook", ch.Name)
	}
	if err := c.verify(ctx, ch, hook); err != nil {
		return deviceops.ChannelNews{}, err
	}
	json, _ := dsl.DecodeJSON(hook.Body) // what is none is a text to the expressions
	said, err := ch.Webhook.Read(lowered(hook.Header), json, strings.ToValidUTF8(string(hook.Body), "\ufffd"))
	if err != nil {
		return deviceops.ChannelNews{}, deviceops.Errorf(deviceops.EINVALID, "channel %s: what came cannot be read: %w", ch.Name, err)
	}
	return news(ch, hook, said), nil
}

// news puts together what a message says. Without a name of its own, a message
// is known by its body.
func news(ch *dsl.Channel, hook deviceops.ChannelHook, said map[string]string) deviceops.ChannelNews {
	if said["ticket"] == "" {
		return deviceops.ChannelNews{}
	}
	id := said["id"]
	if id == "" {
		id = string(hook.Body)
	}
	sum := sha256.Sum256([]byte(ch.Account + "\x00" + ch.Name + "\x00" + id))
	return deviceops.ChannelNews{
		ID:      "news-" + hex.EncodeToString(sum[:12]),
		Remote:  deviceops.RemoteTicket{ID: said["ticket"], Status: said["status"], State: ch.State(said["status"])},
		Comment: said["comment"], By: said["by"],
	}
}

// verify checks where a message comes from. The answer to one that lies says
// nothing about what would be right.
func (c *Channels) verify(ctx context.Context, ch *dsl.Channel, hook deviceops.ChannelHook) error {
	v := ch.Webhook.Verify
	secret, err := c.secret(ctx, ch, v.Secret, &deviceops.Redactor{})
	if err != nil {
		return err
	}
	given := hook.Header.Get(v.Header)
	switch {
	case secret == "" || given == "":
		return unsigned(ch)
	case v.Token:
		if subtle.ConstantTimeCompare([]byte(given), []byte(secret)) != 1 {
			return unsigned(ch)
		}
		return nil
	case v.MaxAge > 0 && stale(hook.Header.Get(v.Timestamp), hook.At, v.MaxAge):
		return deviceops.Errorf(deviceops.EUNAUTHENTICATED, "the message to the channel %s is older than %s, or its time is missing", ch.Name, v.MaxAge)
	}
	want := v.Prefix + signature(v, secret, hook)
	for one := range strings.SplitSeq(given, ",") { // several while keys are changed
		if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(one)), []byte(want)) == 1 {
			return nil
		}
	}
	return unsigned(ch)
}

func unsigned(ch *dsl.Channel) error {
	return deviceops.Errorf(deviceops.EUNAUTHENTICATED, "the message to the channel %s is not signed by whom the channel trusts", ch.Name)
}

var hashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}

func signature(v dsl.ChannelVerify, secret string, hook deviceops.ChannelHook) string {
	mac := hmac.New(hashes[v.Algorithm], []byte(secret))
	if v.Timestamp != "" {
		mac.Write([]byte(hook.Header.Get(v.Timestamp)))
	}
	mac.Write(hook.Body)
	if v.Encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// stale tells whether a timestamp, RFC 3339 or Unix seconds, lies too far from
// now in either direction.
func stale(text string, now time.Time, most time.Duration) bool {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return true
		}
		at = time.Unix(seconds, 0)
	}
	return now.Sub(at).Abs() > most
}
