package channeltest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func bodyReader(body []byte) io.Reader { return bytes.NewReader(body) }

// Jira is a double of Jira Cloud, REST API 3:
// https://developer.atlassian.com/cloud/jira/platform/rest/v3/
func Jira(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = s.basic("deviceops@acme.example")
	s.denied = map[string]any{"errorMessages": []string{"You are not authenticated."}}
	status := func(t *Ticket) map[string]any {
		return map[string]any{"status": map[string]any{"name": t.Status, "statusCategory": map[string]any{"key": t.Status}}}
	}
	s.handle("GET /rest/api/3/search/jql", func(c call) (int, any) {
		id, found := strings.CutPrefix(c.URL.Query().Get("jql"), `labels = "`)
		if !found || c.URL.Query().Get("fields") == "" {
			return http.StatusBadRequest, map[string]any{"errorMessages": []string{"the search cannot be understood"}}
		}
		issues := []any{}
		if t := s.ours(strings.TrimSuffix(id, `"`)); t != nil {
			issues = append(issues, map[string]any{"id": "1", "key": t.ID, "fields": status(t)})
		}
		return http.StatusOK, map[string]any{"issues": issues, "isLast": true}
	})
	s.handle("POST /rest/api/3/issue", func(c call) (int, any) {
		fields := at(c.body, "fields")
		body := text(fields, "description", "content", 0, "content", 0, "text")
		if text(fields, "project", "key") == "" || text(fields, "issuetype", "name") == "" || text(fields, "summary") == "" || text(fields, "description", "type") != "doc" || body == "" {
			return http.StatusBadRequest, map[string]any{"errors": map[string]any{"summary": "a field is missing or is no Atlassian document"}}
		}
		t := s.add("OPS-", Ticket{Title: text(fields, "summary"), Body: body, Ours: text(fields, "labels", 1), Status: "new"})
		return http.StatusCreated, map[string]any{"id": "1000", "key": t.ID, "self": s.URL + "/rest/api/3/issue/1000"}
	})
	s.onTicket("GET /rest/api/3/issue/{id}", func(_ call, t *Ticket) (int, any) {
		return http.StatusOK, map[string]any{"key": t.ID, "fields": status(t)}
	})
	s.onTicket("PUT /rest/api/3/issue/{id}", func(c call, t *Ticket) (int, any) {
		if t.Severity = text(c.body, "fields", "priority", "name"); t.Severity == "" {
			return http.StatusBadRequest, map[string]any{"errors": map[string]any{"priority": "Specify the Priority (name) in string format"}}
		}
		return http.StatusNoContent, nil
	})
	s.onTicket("POST /rest/api/3/issue/{id}/comment", func(c call, t *Ticket) (int, any) {
		comment := text(c.body, "body", "content", 0, "content", 0, "text")
		if text(c.body, "body", "type") != "doc" || comment == "" {
			return http.StatusBadRequest, map[string]any{"errors": map[string]any{"comment": "Comment body is not valid!"}}
		}
		t.Comments = append(t.Comments, comment)
		return http.StatusCreated, map[string]any{"id": "2000"}
	})
	s.onTicket("POST /rest/api/3/issue/{id}/transitions", func(c call, t *Ticket) (int, any) {
		to, known := map[string]string{"11": "new", "31": "done"}[text(c.body, "transition", "id")]
		if !known {
			return http.StatusBadRequest, map[string]any{"errorMessages": []string{"the transition is not valid"}}
		}
		t.Status = to
		return http.StatusNoContent, nil
	})
	s.News = func(t Ticket, comment, by string) (http.Header, []byte) {
		message := map[string]any{
			"webhookEvent": "jira:issue_updated", "user": map[string]any{"displayName": by},
			"issue": map[string]any{"key": t.ID, "fields": status(&t)},
		}
		if comment != "" {
			message["webhookEvent"] = "comment_created"
			message["comment"] = map[string]any{"body": comment, "author": map[string]any{"displayName": by}}
		}
		header, body := jsonNews(message)
		header.Set("X-Hub-Signature", "sha256="+s.hexHMAC(body))
		header.Set("X-Atlassian-Webhook-Identifier", t.ID+t.Status+comment)
		return header, body
	}
	return s
}

// onTicket answers a route below a ticket; 404 for one that is not there.
func (s *System) onTicket(pattern string, answer func(call, *Ticket) (int, any)) {
	s.handle(pattern, func(c call) (int, any) {
		t := s.tickets[c.PathValue("id")]
		if t == nil {
			return http.StatusNotFound, map[string]any{"message": "Not Found"}
		}
		return answer(c, t)
	})
}

// ServiceNow is a double of the Table API:
// https://www.servicenow.com/docs/bundle/api-reference, "Table API"
func ServiceNow(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = s.basic("deviceops")
	s.denied = map[string]any{"error": map[string]any{"message": "User Not Authenticated", "detail": "Required to provide Auth information"}, "status": "failure"}
	record := func(t *Ticket) map[string]any {
		return map[string]any{"sys_id": t.ID, "number": "INC" + t.ID, "state": t.Status}
	}
	s.handle("GET /api/now/table/incident", func(c call) (int, any) {
		result := []any{}
		if t := s.ours(strings.TrimPrefix(c.URL.Query().Get("sysparm_query"), "correlation_id=")); t != nil {
			result = append(result, record(t))
		}
		return http.StatusOK, map[string]any{"result": result}
	})
	s.handle("POST /api/now/table/incident", func(c call) (int, any) {
		t := s.add("a0b1c2", Ticket{
			Title: text(c.body, "short_description"), Body: text(c.body, "description"), Ours: text(c.body, "correlation_id"),
			Severity: text(c.body, "urgency"), Status: "1",
		})
		return http.StatusCreated, map[string]any{"result": record(t)}
	})
	s.handle("POST /api/now/table/wm_order", func(c call) (int, any) {
		return http.StatusCreated, map[string]any{"result": map[string]any{"sys_id": "f00", "number": "WO0001", "short_description": text(c.body, "short_description")}}
	})
	s.onTicket("GET /api/now/table/incident/{id}", func(_ call, t *Ticket) (int, any) {
		return http.StatusOK, map[string]any{"result": record(t)}
	})
	s.onTicket("PATCH /api/now/table/incident/{id}", func(c call, t *Ticket) (int, any) {
		if state := text(c.body, "state"); state == "6" && (text(c.body, "close_code") == "" || text(c.body, "close_notes") == "") {
			return http.StatusForbidden, map[string]any{"error": map[string]any{"message": "Operation Failed", "detail": "Data Policy Exception: close_code, close_notes are mandatory"}}
		} else if state != "" {
			t.Status = state
		}
		if urgency := text(c.body, "urgency"); urgency != "" {
			t.Severity = urgency
		}
		for _, field := range []string{"work_notes", "close_notes"} {
			if note := text(c.body, field); note != "" {
				t.Comments = append(t.Comments, note)
			}
		}
		return http.StatusOK, map[string]any{"result": record(t)}
	})
	s.News = func(t Ticket, comment, by string) (http.Header, []byte) {
		header, body := jsonNews(map[string]any{"sys_id": t.ID, "state": t.Status, "comment": comment, "by": by})
		header.Set("X-DeviceOps-Token", s.Key)
		return header, body
	}
	return s
}

// Zendesk is a double of the Ticketing API:
// https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/
func Zendesk(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = s.basic("deviceops@acme.example/token")
	s.denied = map[string]any{"error": "Couldn't authenticate you"}
	record := func(t *Ticket) map[string]any {
		return map[string]any{"id": number(t.ID), "status": t.Status, "external_id": t.Ours}
	}
	s.handle("GET /api/v2/tickets", func(c call) (int, any) {
		tickets := []any{}
		if t := s.ours(c.URL.Query().Get("external_id")); t != nil {
			tickets = append(tickets, record(t))
		}
		return http.StatusOK, map[string]any{"tickets": tickets, "count": len(tickets)}
	})
	s.handle("POST /api/v2/tickets", func(c call) (int, any) {
		ticket := at(c.body, "ticket")
		if text(ticket, "comment", "body") == "" {
			return http.StatusUnprocessableEntity, map[string]any{"error": "RecordInvalid", "description": "Record validation errors"}
		}
		t := s.add("", Ticket{
			Title: text(ticket, "subject"), Body: text(ticket, "comment", "body"), Ours: text(ticket, "external_id"), Severity: text(ticket, "priority"), Status: "new",
		})
		return http.StatusCreated, map[string]any{"ticket": record(t)}
	})
	s.onTicket("GET /api/v2/tickets/{id}", func(_ call, t *Ticket) (int, any) {
		return http.StatusOK, map[string]any{"ticket": record(t)}
	})
	s.onTicket("PUT /api/v2/tickets/{id}", func(c call, t *Ticket) (int, any) {
		if status := text(c.body, "ticket", "status"); status != "" {
			t.Status = status
		}
		if priority := text(c.body, "ticket", "priority"); priority != "" {
			t.Severity = priority
		}
		if comment := text(c.body, "ticket", "comment", "body"); comment != "" {
			t.Comments = append(t.Comments, comment)
		}
		return http.StatusOK, map[string]any{"ticket": record(t)}
	})
	s.News = func(t Ticket, comment, by string) (http.Header, []byte) {
		header, body := jsonNews(map[string]any{"ticket": t.ID, "status": t.Status, "comment": comment, "by": by})
		now := time.Now().UTC().Format(time.RFC3339)
		header.Set("X-Zendesk-Webhook-Signature-Timestamp", now)
		header.Set("X-Zendesk-Webhook-Signature", s.base64HMAC(now, string(body)))
		return header, body
	}
	return s
}

// GitHub is a double of the REST API for issues:
// https://docs.github.com/en/rest/issues
func GitHub(t testing.TB) *System {
	s := newSystem(t)
	s.authentic = func(r *http.Request, body []byte) bool {
		return s.bearer(r, body) && r.Header.Get("Accept") == "application/vnd.github+json" && r.Header.Get("X-Github-Api-Version") == "2022-11-28"
	}
	s.denied = map[string]any{"message": "Bad credentials", "status": "401"}
	record := func(t *Ticket) map[string]any {
		return map[string]any{"number": number(t.ID), "html_url": "https://github.com/acme/fleet/issues/" + t.ID, "state": t.Status}
	}
	s.handle("GET /repos/acme/fleet/issues", func(c call) (int, any) {
		issues := []any{}
		for id := len(s.tickets); id > 0 && len(issues) < number(c.URL.Query().Get("per_page")); id-- {
			t := s.tickets[strconv.Itoa(id)]
			issue := record(t)
			issue["body"] = t.Body
			if c.URL.Query().Get("labels") == "deviceops" && (c.URL.Query().Get("state") == "all" || t.Status == "open") {
				issues = append(issues, issue)
			}
		}
		return http.StatusOK, issues
	})
	s.handle("POST /repos/acme/fleet/issues", func(c call) (int, any) {
		if text(c.body, "title") == "" {
			return http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"}
		}
		t := s.add("", Ticket{Title: text(c.body, "title"), Body: text(c.body, "body"), Status: "open"})
		return http.StatusCreated, record(t)
	})
	s.onTicket("GET /repos/acme/fleet/issues/{id}", func(_ call, t *Ticket) (int, any) { return http.StatusOK, record(t) })
	s.onTicket("POST /repos/acme/fleet/issues/{id}/comments", func(c call, t *Ticket) (int, any) {
		t.Comments = append(t.Comments, text(c.body, "body"))
		return http.StatusCreated, map[string]any{"id": 1}
	})
	s.onTicket("PATCH /repos/acme/fleet/issues/{id}", func(c call, t *Ticket) (int, any) {
		state := text(c.body, "state")
		if state != "open" && state != "closed" {
			return http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"}
		}
		t.Status = state
		return http.StatusOK, record(t)
	})
	s.News = func(t Ticket, comment, by string) (http.Header, []byte) {
		message := map[string]any{"action": "closed", "issue": record(&t), "sender": map[string]any{"login": by}}
		if comment != "" {
			message["action"], message["comment"] = "created", map[string]any{"body": comment}
		}
		header, body := jsonNews(message)
		header.Set("X-Hub-Signature-256", "sha256="+s.hexHMAC(body))
		header.Set("X-GitHub-Delivery", "72d3162e-"+t.Status+comment)
		return header, body
	}
	return s
}
