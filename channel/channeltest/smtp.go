package channeltest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Mail is a mail as a server got it.
type Mail struct {
	From string
	To   []string
	Data string // headers and body
	TLS  bool
	User string // who sent it; "": nobody said
}

// SMTP is a mail server (RFC 5321) that keeps what it gets. It knows the user
// deviceops@example.com, whose password is Secret.
type SMTP struct {
	Address string      // host:port
	TLS     *tls.Config // by which clients trust it

	server *tls.Config
	mu     sync.Mutex
	mails  []Mail
	refuse []string
}

// NewSMTP makes a server that offers STARTTLS.
func NewSMTP(t testing.TB) *SMTP {
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	trusted := x509.NewCertPool()
	trusted.AddCert(certified.Certificate())
	s := &SMTP{
		Address: listener.Addr().String(), TLS: &tls.Config{RootCAs: trusted},
		server: &tls.Config{Certificates: certified.TLS.Certificates},
	}
	go s.accept(listener)
	return s
}

func (s *SMTP) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go (&session{server: s, connection: connection}).serve()
	}
}

// Refuse has the next mail refused with a reply such as "451 4.3.0 try later".
func (s *SMTP) Refuse(reply string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = append(s.refuse, reply)
}

// Mails gives what came so far.
func (s *SMTP) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// session is one connection.
type session struct {
	server     *SMTP
	connection net.Conn
	reader     *bufio.Reader
	mail       Mail
}

func (c *session) say(format string, args ...any) { fmt.Fprintf(c.connection, format+"\r\n", args...) }

func (c *session) serve() {
	defer func() { _ = c.connection.Close() }()
	c.reader = bufio.NewReader(c.connection)
	c.say("220 mail.example.com ESMTP")
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !c.answer(strings.ToUpper(verb), rest) {
			return
		}
	}
}

func (c *session) answer(verb, rest string) bool {
	switch verb {
	case "EHLO", "HELO":
		c.say("250-mail.example.com")
		if !c.mail.TLS {
			c.say("250-STARTTLS")
		}
		c.say("250 AUTH PLAIN")
	case "STARTTLS":
		c.say("220 go ahead")
		c.connection = tls.Server(c.connection, c.server.server)
		c.reader, c.mail.TLS = bufio.NewReader(c.connection), true
	case "AUTH":
		c.authenticate(strings.TrimPrefix(rest, "PLAIN "))
	case "MAIL":
		c.mail.From, c.mail.To = between(rest), nil
		c.say("250 fine")
	case "RCPT":
		c.mail.To = append(c.mail.To, between(rest))
		c.say("250 fine")
	case "DATA":
		c.data()
	case "QUIT":
		c.say("221 bye")
		return false
	default:
		c.say("250 fine")
	}
	return true
}

func between(text string) string {
	_, rest, _ := strings.Cut(text, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}

func (c *session) authenticate(response string) {
	plain, _ := base64.StdEncoding.DecodeString(response)
	if string(plain) != "\x00deviceops@example.com\x00"+Secret {
		c.say("535 5.7.8 authentication credentials invalid")
		return
	}
	c.mail.User = "deviceops@example.com"
	c.say("235 2.7.0 authentication successful")
}

func (c *session) data() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if len(c.server.refuse) > 0 {
		reply := c.server.refuse[0]
		c.server.refuse = c.server.refuse[1:]
		c.say("%s", reply)
		return
	}
	c.say("354 go on")
	var data strings.Builder
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		data.WriteString(strings.TrimSuffix(line, "\r\n") + "\n")
	}
	mail := c.mail
	mail.Data = data.String()
	c.server.mails = append(c.server.mails, mail)
	c.say("250 2.0.0 queued")
}
