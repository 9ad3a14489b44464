Feature: CloudEvents over HTTP

    What the binding of CloudEvents 1.0 to HTTP asks of whoever receives them. The
    steps are those of the public conformance features, which therefore run here too.

    Background:
    Given HTTP Protocol Binding is supported

    Scenario: attributes in headers, percent-encoded, with an extension
    Given an HTTP request
        """
        POST /hook HTTP/1.1
        Host: deviceops.example
        CE-SpecVersion: 1.0
        CE-Type: shop.order.delivered
        CE-ID: 7
        CE-Source: /shop/z%C3%BCrich
        CE-Subject: A7%20and%20A8
        CE-Priority: high
        CE-Time: 2026-11-20T11:59:30+01:00
        Content-Type: application/vnd.shop+json
        Content-Length: 14

        {"parts": 2.5}
        """
    When parsed as HTTP request
    Then the attributes are:
        | key             | value                     |
        | specversion     | 1.0                       |
        | type            | shop.order.delivered      |
        | id              | 7                         |
        | source          | /shop/z%C3%BCrich         |
        | subject         | A7 and A8                 |
        | priority        | high                      |
        | time            | 2026-11-20T10:59:30Z      |
        | datacontenttype | application/vnd.shop+json |
    And the data is equal to the following JSON:
        """
        {"parts": 2.5}
        """

    Scenario: one document, with data that is text
    Given an HTTP request
        """
        POST /hook HTTP/1.1
        Host: deviceops.example
        Content-Type: application/cloudevents+json; charset=utf-8
        Content-Length: 151

        {"specversion": "1.0", "type": "shop.note", "id": "8", "source": "urn:shop", "datacontenttype": "text/plain", "dataschema": "urn:note", "data": "late"}
        """
    When parsed as HTTP request
    Then the attributes are:
        | key             | value      |
        | specversion     | 1.0        |
        | type            | shop.note  |
        | id              | 8          |
        | source          | urn:shop   |
        | datacontenttype | text/plain |
        | dataschema      | urn:note   |
    And the data is equal to the following JSON:
        """
        {"text": "late"}
        """

    Scenario: one document, with bytes and without a type of them
    Given an HTTP request
        """
        POST /hook HTTP/1.1
        Host: deviceops.example
        Content-Type: application/cloudevents+json
        Content-Length: 107

        {"specversion": "1.0", "type": "shop.scan", "id": "9", "source": "urn:shop", "data_base64": "eyJuIjogMX0="}
        """
    When parsed as HTTP request
    Then the attributes are:
        | key             | value     |
        | specversion     | 1.0       |
        | type            | shop.scan |
        | id              | 9         |
        | source          | urn:shop  |
    And the data is equal to the following JSON:
        """
        {"n": 1}
        """

    Scenario: the version before
    Given an HTTP request
        """
        POST /hook HTTP/1.1
        Host: deviceops.example
        ce-specversion: 0.3
        ce-type: shop.old
        ce-id: 10
        ce-source: /shop
        Content-Type: application/json
        Content-Length: 8

        {"n": 1}
        """
    When parsed as HTTP request
    Then the attributes are:
        | key             | value            |
        | specversion     | 0.3              |
        | type            | shop.old         |
        | id              | 10               |
        | source          | /shop            |
        | datacontenttype | application/json |
    And the data is equal to the following JSON:
        """
        {"n": 1}
        """
