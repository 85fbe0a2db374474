# Who may call llm_admin: connections from this machine, or whoever knows the
# token; and nothing that a page of a stranger makes a browser send.

use lib 't/lib';
use Test::LLM;

use IO::Socket::INET;
use IO::Socket::UNIX;

my $token = 'tok-admin-0123456789';

# an address of this machine that is not loopback; nothing is sent
my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '192.0.2.1',
                                PeerPort => 9);
my $own = $udp ? $udp->sockhost : '127.0.0.1';

my $gw = Test::LLM::Gateway->new(env => { ADMIN_TOKEN => $token },
    files => { 'admin.token' => "$token\n" }, conf => <<'EOC')->start;
    llm_provider p { dialect mock; }
    server {
        listen %%PORT%%;
        listen unix:%%DIR%%/admin.sock;
        server_name gateway.example;
        location /admin/ { llm_admin; }
        location /some/  {
            llm_admin;
            limit_except GET { allow unix:; deny all; }
            if ($http_x_if) { set $x 1; }
        }
        location /env/   { llm_admin token=env:ADMIN_TOKEN; }
        location /file/  { llm_admin token=file:%%DIR%%/admin.token; }
    }
    server {
        listen %%PORT_REAL%%;
        set_real_ip_from 0.0.0.0/0;
        real_ip_header X-Forwarded-For;
        location /admin/ { llm_admin; }
        location /addr { return 200 $remote_addr; }
    }
EOC

my $real = $gw->port('REAL');
my @json = ('Content-Type' => 'application/json');

sub from_afar {
    my ($port, @more) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => $own, PeerPort => $port,
                                     Proto => 'tcp') or die "connect: $!";
    return $gw->http(@more[0, 1], $more[2] || {}, $more[3], port => $port,
                     sock => $sock);
}

sub refused {
    my ($r, $status, $re, $name) = @_;
    subtest $name => sub {
        is($r->status, $status, "status $status");
        is($r->header('content-type'), 'application/json', 'JSON');
        is($r->header('cache-control'), 'no-store', 'not to be kept');
        ok($r->json && $r->json->{error}{code}, 'a code') or diag $r->body;
        like($r->json && $r->json->{error}{message}, $re, 'says why');
    };
}


# ---- local peers --------------------------------------------------------------

my $r = $gw->get('/admin/');
is($r->status, 200, 'loopback is served');
ok((grep { $_ eq 'PUT /admin/splits/NAME' } @{ $r->json->{calls} }),
    '... an index of the calls');
is($r->header('cache-control'), 'no-store', '... that nobody keeps');

$r = $gw->http(GET => '/admin/', {}, undef,
    sock => IO::Socket::UNIX->new(Peer => $gw->dir . '/admin.sock'));
is($r->status, 200, 'a unix socket is served');

SKIP: {
    skip 'only loopback here', 6 if $own =~ /^127\./;

    refused(from_afar($gw->port, GET => '/admin/'), 403, qr/this machine/,
        'another address is not');
    refused(from_afar($gw->port, GET => '/admin/',
            { 'X-Forwarded-For' => '127.0.0.1', 'X-Real-IP' => '127.0.0.1' }),
        403, qr/this machine/, '... whatever it says it is');

    $r = from_afar($real, GET => '/addr', { 'X-Forwarded-For' => '127.0.0.1' });
    is($r->body, '127.0.0.1', 'the realip module believes a header');
    refused(from_afar($real, GET => '/admin/',
            { 'X-Forwarded-For' => '127.0.0.1' }),
        403, qr/this machine/, '... the API does not');
    refused(from_afar($real, GET => '/admin/', { 'X-Forwarded-For' => '::1' }),
        403, qr/this machine/, '... nor an IPv6 one');

    is(from_afar($gw->port, GET => '/env/',
            { Authorization => "Bearer $token" })->status, 200,
        'with a token any address may be used');
}

$r = $gw->http(GET => '/addr', { 'X-Forwarded-For' => '198.51.100.7' }, undef,
               port => $real);
is($r->body, '198.51.100.7', 'realip gives a local connection another address');
$r = $gw->http(GET => '/admin/', { 'X-Forwarded-For' => '198.51.100.7' },
               undef, port => $real);
is($r->status, 200, '... the API looks at the connection');


# ---- tokens -------------------------------------------------------------------

for my $where ('/env/', '/file/') {
    is($gw->http(GET => $where, { Authorization => "Bearer $token" })->status,
        200, "$where with the token");
    is($gw->http(GET => $where, { Authorization => "bearer $token" })->status,
        200, '... whatever the case of the scheme');
    refused($gw->get($where), 401, qr/token is missing/, '... without');

    for my $wrong ($token . 'x', substr($token, 0, -1), 'x', "$token$token",
                   "X$token")
    {
        refused($gw->http(GET => $where, { Authorization => "Bearer $wrong" }),
            401, qr/not the token/, '... a wrong one of ' . length $wrong);
    }
    refused($gw->http(GET => $where, { Authorization => "Basic $token" }),
        401, qr/token is missing/, '... another scheme');
}

$r = $gw->get('/env/');
is($r->header('www-authenticate'), 'Bearer realm="llm_admin"', 'how to');


# ---- pages of strangers -------------------------------------------------------

my @put = (PUT => '/admin/providers/p');
my $off = '{"enabled":true}';

is($gw->http(@put, { @json }, $off)->status, 200, 'a change');
is($gw->http(@put, { @json, Origin => 'http://localhost' }, $off)->status,
    200, '... from a page of this server');
is($gw->http(@put, { @json, Host => "localhost:" . $gw->port,
        Origin => 'http://LOCALHOST:' . $gw->port }, $off)->status, 200,
    '... with a port');
is($gw->http(PUT => '/admin/providers/p', { 'Content-Type' =>
        'application/json; charset=utf-8' }, $off)->status, 200,
    '... with a charset');

for my $origin ('http://evil.example', 'null', 'http://localhost.evil.example',
                'localhost', 'http://localhost:1')
{
    refused($gw->http(@put, { @json, Origin => $origin }, $off), 403,
        qr/Origin/, "the origin $origin");
}
refused($gw->http(@put, [ @json, Origin => 'http://localhost',
        Origin => 'http://evil.example' ], $off), 403, qr/Origin/,
    'a second origin');
refused($gw->http(GET => '/admin/splits',
        { Origin => 'http://evil.example' }), 403, qr/Origin/, 'a GET');
refused($gw->http(@put, { @json, 'Sec-Fetch-Site' => 'cross-site' }, $off),
    403, qr/another site/, 'a cross-site request');
is($gw->http(@put, { @json, 'Sec-Fetch-Site' => 'same-origin' }, $off)->status,
    200, '... not one of the same origin');

for my $type ('text/plain', 'application/x-www-form-urlencoded',
              'application/jsonp', 'multipart/form-data; boundary=x')
{
    refused($gw->http(@put, { 'Content-Type' => $type }, $off), 415,
        qr{application/json}, "a body of $type");
}
refused($gw->raw("POST /admin/splits/x/abort HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n"), 415, qr{application/json},
    'a POST without a type');

# the name of an attacker that points here by now
refused($gw->http(GET => '/admin/splits', { Host => 'rebound.example' }), 403,
    qr/rebound\.example/, 'a strange Host');
for my $host ('gateway.example', 'GATEWAY.example:8080', '127.0.0.1',
              '[::1]', 'localhost')
{
    is($gw->http(GET => '/admin/splits', { Host => $host })->status, 200,
        "the Host $host");
}
is($gw->http(GET => '/env/', { Host => 'rebound.example',
        Authorization => "Bearer $token" })->status, 200,
    'with a token the name does not matter');


# blocks in the location
is($gw->get('/some/splits')->status, 200, 'limit_except: GET');
is($gw->http(PUT => '/some/providers/p', { @json }, $off)->status, 403,
    '... not PUT');
is($gw->http(PUT => '/some/providers/p', { @json }, $off,
    sock => IO::Socket::UNIX->new(Peer => $gw->dir . '/admin.sock'))->status,
    200, '... but from the unix socket');
is($gw->http(GET => '/some/splits', { 'X-If' => 1 })->status, 200, 'if');


# ---- the table of calls -------------------------------------------------------

refused($gw->get('/admin/nothing'), 404, qr{no call "nothing"}, 'no call');
refused($gw->get('/admin/splitsx'), 404, qr{no call}, 'a longer word');
is($gw->get('/admin')->status, 301, 'without the slash: redirected');
is($gw->get('/admin/splits/')->status, 200, 'a slash more');

for (['POST', 'splits', 'GET, HEAD'], ['DELETE', 'splits/x', 'GET, HEAD, PUT'],
     ['POST', 'splits/x/aborrt', 'GET, HEAD, PUT'],
     ['GET', 'splits/x/abort', 'POST'], ['PUT', 'splits/x/start', 'POST'],
     ['PATCH', 'providers/p', 'PUT'], ['OPTIONS', '', 'GET, HEAD'])
{
    my ($method, $path, $allow) = @$_;
    $r = $gw->http($method => "/admin/$path", { @json });
    refused($r, 405,
            qr{\Q$method is no method of "/admin/$path": it takes $allow; GET\E},
            "$method $path");
    is($r->header('allow'), $allow, '... Allow');
}

$r = $gw->http(HEAD => '/admin/providers');
is($r->status, 200, 'HEAD');
is($r->header('content-type'), 'application/json', '... type');
is($r->body, '', '... no body');

refused($gw->http(@put, { @json }, '{"enabled":' . ' ' x 70_000 . 'true}'),
    413, qr/65536/, 'too long');
refused($gw->http(@put, { @json }, '{"enabled":' . ' ' x 70_000 . 'true}',
    chunked => 1), 413, qr/65536/, '... in chunks');
is($gw->http(@put, { @json }, '{"enabled":' . ' ' x 60_000 . 'true}')->status,
    200, 'nearly too long');
is($gw->http(@put, { @json }, $off, chunked => 1)->status, 200, 'in chunks');

for my $bad ('', '{', '[]', '"enabled"', '{"enabled":true}x', 'null') {
    refused($gw->http(@put, { @json, 'Content-Length' => length $bad }, $bad),
        400, qr/JSON/, "the body $bad");
}


# ---- mistakes in the file -----------------------------------------------------

sub wrong {
    my ($location, $re) = @_;
    my $t = Test::LLM::Gateway->new(env => { ADMIN_TOKEN => $token },
        secrets => ['plain-secret-token'],
        files => { 'empty' => "\n", 'two' => "a b\n" });
    my ($code, $out) = $t->test_conf(<<"EOC");
    llm_provider p { dialect mock; }
    server { listen 127.0.0.1:%%PORT%%; $location }
EOC
    isnt($code, 0, "refused: $location");
    like($out, $re, "... says $re");
    is_deeply($t->{leaks}, [], '... shows no token');
    $t->{checked} = 1;
}

wrong('location /admin { llm_admin; }', qr/"\/admin" cannot have "llm_admin".*ends in "\/".*nginx\.conf:\d+/);
wrong('location = /admin/ { llm_admin; }', qr/cannot have "llm_admin"/);
wrong('location ~ /admin/ { llm_admin; }', qr/cannot have "llm_admin"/);
wrong('location /a/ { llm_admin; llm_admin; }', qr/is duplicate/);
wrong('location /a/ { llm_admin; llm_pass p; }', qr/incompatible with "llm_admin"/);
wrong('location /a/ { llm_pass p; llm_admin; }', qr/incompatible with "llm_pass"/);
wrong('location /a/ { llm_metrics; llm_metrics; }', qr/is duplicate/);
wrong('location /a/ { llm_pass p; llm_metrics; }', qr/incompatible/);
wrong('location /a/ { llm_metrics; llm_pass p; }', qr/incompatible with "llm_metrics"/);
wrong('location /a/ { llm_health; llm_admin; }', qr/incompatible/);
wrong('location /a/ { llm_admin token=plain-secret-token; }', qr/token of "llm_admin" must come from/);
wrong('location /a/ { llm_admin secret=env:ADMIN_TOKEN; }', qr/token=file:PATH/);
wrong('location /a/ { llm_admin token=env:NO_SUCH_TOKEN; }', qr/from "env:NO_SUCH_TOKEN" is missing/);
wrong('location /a/ { llm_admin token=file:none; }', qr/from "file:none" is missing/);
wrong('location /a/ { llm_admin token=file:empty; }', qr/is empty/);
wrong('location /a/ { llm_admin token=file:two; }', qr/white space/);

finish;
