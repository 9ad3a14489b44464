package channeltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"testing"
)

func number(id string) int {
	n, _ := strconv.Atoi(id)
	return n
}

// PagerDuty is a double of the Events API v2 and of webhooks v3:
// https://developer.pagerduty.com/docs/events-api-v2-overview
func PagerDuty(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = func(*http.Request, []byte) bool { return true } // the key is in the body
	s.handle("POST /v2/enqueue", func(c call) (int, any) {
		invalid := func(problem string) (int, any) {
			return http.StatusBadRequest, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{problem}}
		}
		if text(c.body, "routing_key") != s.Secret {
			return invalid("Invalid routing key")
		}
		key := text(c.body, "dedup_key")
		switch text(c.body, "event_action") {
		case "trigger":
			payload := at(c.body, "payload")
			switch text(payload, "severity") {
			case "critical", "error", "warning", "info":
			default:
				return invalid("payload.severity must be one of critical, error, warning, info")
			}
			if text(payload, "summary") == "" || text(payload, "source") == "" {
				return invalid("payload.summary and payload.source are required")
			}
			s.tickets[key] = &Ticket{ID: key, Ours: key, Title: text(payload, "summary"), Severity: text(payload, "severity"), Status: "triggered"}
		case "resolve":
			if s.tickets[key] != nil {
				s.tickets[key].Status = "resolved"
			}
		default:
			return invalid("event_action must be one of trigger, acknowledge, resolve")
		}
		return http.StatusAccepted, map[string]any{"status": "success", "message": "Event processed", "dedup_key": key}
	})
	s.News = func(t Ticket, _, by string) (http.Header, []byte) {
		header, body := jsonNews(map[string]any{"event": map[string]any{
			"id": "01" + t.Status, "event_type": "incident." + t.Status, "resource_type": "incident", "agent": map[string]any{"summary": by},
			"data": map[string]any{"id": "PGR0VU2", "type": "incident", "status": t.Status, "incident_key": t.ID},
		}})
		header.Set("X-PagerDuty-Signature", "v1=0000,v1="+s.hexHMAC(body)) // two keys, while one is changed
		return header, body
	}
	return s
}

// Slack is a double of chat.postMessage:
// https://docs.slack.dev/reference/methods/chat.postMessage
func Slack(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = func(*http.Request, []byte) bool { return true } // it says no with 200
	s.handle("POST /api/chat.postMessage", func(c call) (int, any) {
		no := func(why string) (int, any) { return http.StatusOK, map[string]any{"ok": false, "error": why} }
		switch {
		case !s.bearer(c.Request, nil):
			return no("invalid_auth")
		case text(c.body, "channel") == "":
			return no("channel_not_found")
		case text(c.body, "text") == "":
			return no("no_text")
		}
		ts := text(c.body, "thread_ts")
		if parent := s.tickets[ts]; parent != nil {
			parent.Comments = append(parent.Comments, text(c.body, "text"))
		} else if ts != "" {
			return no("thread_not_found")
		} else {
			ts = "1503435956.00000" + strconv.Itoa(len(s.tickets))
			s.tickets[ts] = &Ticket{ID: ts, Title: text(c.body, "text")}
		}
		return http.StatusOK, map[string]any{"ok": true, "channel": text(c.body, "channel"), "ts": ts}
	})
	return s
}

// Webhook is a system that checks the signature of what it gets, as the shipped
// channel of that name makes it.
func Webhook(t testing.TB) *System {
	s := newSystem(t)
	s.Key = s.Secret // one key, both ways
	s.authentic = func(r *http.Request, body []byte) bool {
		mac := hmac.New(sha256.New, []byte(s.Secret))
		mac.Write(body)
		return r.Header.Get("X-DeviceOps-Signature") == "sha256="+hex.EncodeToString(mac.Sum(nil)) && r.Header.Get("Idempotency-Key") != ""
	}
	s.denied = map[string]any{"error": "the signature is wrong"}
	s.handle("POST /notifications", func(c call) (int, any) {
		s.add("notice-", Ticket{Title: text(c.body, "title"), Body: text(c.body, "text"), Severity: text(c.body, "severity")})
		return http.StatusAccepted, nil
	})
	s.handle("POST /tickets", func(c call) (int, any) {
		t := s.add("T", Ticket{Title: text(c.body, "title"), Body: text(c.body, "body"), Ours: text(c.body, "id"), Status: "open"})
		return http.StatusCreated, map[string]any{"id": t.ID, "url": s.URL + "/tickets/" + t.ID}
	})
	s.onTicket("POST /tickets/{id}/comments", func(c call, t *Ticket) (int, any) {
		t.Comments = append(t.Comments, text(c.body, "by")+": "+text(c.body, "text"))
		return http.StatusNoContent, nil
	})
	s.onTicket("POST /tickets/{id}/severity", func(c call, t *Ticket) (int, any) {
		t.Severity = text(c.body, "severity")
		return http.StatusNoContent, nil
	})
	s.onTicket("POST /tickets/{id}/close", func(_ call, t *Ticket) (int, any) {
		t.Status = "closed"
		return http.StatusNoContent, nil
	})
	s.onTicket("POST /tickets/{id}/reopen", func(_ call, t *Ticket) (int, any) {
		t.Status = "open"
		return http.StatusNoContent, nil
	})
	s.News = func(t Ticket, comment, by string) (http.Header, []byte) {
		header, body := jsonNews(map[string]any{"ticket": t.ID, "status": t.Status, "comment": comment, "by": by})
		header.Set("X-DeviceOps-Signature", "sha256="+s.hexHMAC(body))
		return header, body
	}
	return s
}
