# Applications behind a split: nginx's proxy module has the request as it came,
# byte for byte the same at every variant, whatever the method, the body and the
# protocol; and every directive of that module is obeyed.

use lib 't/lib';
use Test::LLM;

use IO::Socket::INET;
use POSIX ();

# an application that changes the protocol and sends everything back
sub echo_server {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
        Proto => 'tcp', Listen => 8) or die "listen: $!";
    my $pid = fork // die "fork: $!";
    return ($listen->sockport, $pid) if $pid;

    while (my $s = $listen->accept) {
        my $head = '';
        while ($head !~ /\r\n\r\n/ && sysread $s, my $data, 65536) { $head .= $data }
        my ($first) = $head =~ s/\r\n\r\n(.*)/\r\n\r\n/s ? $1 : '';
        syswrite $s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            . "Connection: Upgrade\r\n\r\n$head$first";
        while (sysread $s, my $data, 65536) { syswrite $s, $data }
    }
    POSIX::_exit(0);
}

my ($echo, $echo_pid) = echo_server();
END { kill KILL => $echo_pid if $echo_pid }
my ($blue, $green) = map { Test::LLM::Upstream->new } 1, 2;
my @up = ($blue, $green);

my $gw = Test::LLM::Gateway->new(
    vars => { BLUE => $blue->port, GREEN => $green->port, ECHO => $echo,
              DEAD => silent_port() },
    files => { 'htpasswd' => "user:{PLAIN}secret-pass\n" }, conf => <<'EOC')->start;
    llm_zone t:8m;
    client_max_body_size 64m;
    proxy_hide_header X-Internal;
    proxy_connect_timeout 5s;

    upstream app_blue  { server 127.0.0.1:%%BLUE%%;  keepalive 8; }
    llm_split app   { variant blue http://app_blue 50%; variant green http://app_green 50%; }
    upstream app_green { server 127.0.0.1:%%GREEN%%; keepalive 8; }
    llm_split user  { sticky $http_x_user; force $http_x_variant allow=127.0.0.1;
                      variant blue http://app_blue 100%; variant green http://127.0.0.1:%%GREEN%% 0%; }
    llm_split talk  { variant a http://127.0.0.1:%%ECHO%% 100%; variant b http://localhost:%%ECHO%% 0%; }
    llm_split dead  { variant a http://127.0.0.1:%%DEAD%% 100%; variant b http://app_blue 0%; }
    llm_split unix  { variant a http://unix:%%DIR%%/back.sock 100%; variant b http://app_blue 0%; }
    llm_split mixed { force $http_x_variant allow=127.0.0.1;
                      variant legacy http://app_blue 50%; variant new canned 50%; }

    llm_provider canned { dialect mock; }
    llm_prompt p { user "{text}"; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen unix:%%DIR%%/front.sock;
        server_name fallback.example;
        location /      { llm_pass app; }
        location /user/ { llm_pass user; }
        location /talk/ { llm_pass talk; }
        location /dead/ { llm_pass dead; }
        location /dead/page/ { error_page 502 = @page; llm_pass dead; }
        location @page  { return 200 "a page of ours"; }
        location /unix/ { llm_pass unix; }
        location /id/   { llm_response_headers id;  llm_pass user; }
        location /off/  { llm_response_headers off; llm_pass user; }
        location /deny/ { deny all; llm_pass user; }
        location /auth/ { auth_basic x; auth_basic_user_file %%DIR%%/htpasswd; llm_pass user; }
        location /small/ { client_max_body_size 10; llm_pass user; }
        location /variable/ { llm_pass $http_x_name; }
        location = /analyze { llm_analyze p; llm_pass mixed; }
        location /mixed/v1/ { llm_pass mixed; }
        location /mixed/deny/ { deny all; llm_pass mixed; }
        location /nested/ { llm_pass user;
            location /nested/other/ { proxy_pass http://app_green; } }
        location /if/ {
            if ($arg_green) { proxy_pass http://app_green; }
            if ($arg_set)   { add_header X-If 1; }
            llm_pass user;
        }
        location /limit/ { limit_except POST { auth_basic off; } llm_pass user; }
        location /rewrite/ { rewrite ^/rewrite(/.*)$ /user$1 last; }
    }
    server {
        listen 127.0.0.1:%%PORT_SET%%;
        proxy_set_header Host $host;
        proxy_set_header X-Outer outer;
        proxy_http_version 1.0;
        proxy_buffering on;
        location /outer/ { llm_pass user; }
        location /inner/ {
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header CONNECTION close;
            proxy_http_version 1.1;
            llm_pass user;
        }
        location /strip/ { proxy_set_header X-Secret ""; proxy_method PUT; proxy_pass_request_body off; llm_pass user; }
    }
    server { listen 127.0.0.1:%%PORT_H2%% http2; client_max_body_size 64m; location / { llm_pass user; } }
    server {
        listen unix:%%DIR%%/back.sock;
        location / { return 200 "unix $http_host $request_uri"; }
    }
EOC

sub answer { my ($text, @more) = @_; [ [ status => '200 Fine' ], @more, [ body => $text ] ] }
sub all_on { $_->on('/*' => @_) for @up }
sub heads { map { $_->received } @up }
sub forget { $_->forget for @up }
sub last_of { ($_[0]->received)[-1] }

all_on(answer('ok'));


# ---- the same bytes at both -------------------------------------------------

my $odd = join "\r\n", 'POST /a%2Fb/../c//d%20e?x=%7E&y=a+b&& HTTP/1.1',
    'hOsT: Shop.Example:8443', 'Accept: */*', 'X-Twice: one', 'COOKIE: a=b; c="d"',
    'X-Twice: two', 'X-Empty:', 'User-Agent: caf' . "\xe9" . ' "quoted"',
    'Authorization: Basic dTpw', 'Content-Length: 11', 'Referer: http://x/?a=b',
    'X-Forwarded-For: 1.2.3.4', 'Connection: close', '', "\x00\x01\r\nbody\xff\xfe!";

my %seen;
for my $round (1 .. 10) {
    my @c = map { $gw->request(GET => '/', {}, undef, raw => $odd) } 1 .. 100;
    run_all(30, @c);
    $seen{ $_->status }++ for @c;
}
is_deeply(\%seen, { 200 => 1000 }, '1000 requests');

my (%at, %bytes);
for my $name (0, 1) {
    $at{$name} = [ $up[$name]->received ];
    $bytes{"$_->{head}|$_->{body}"}++ for @{ $at{$name} };
}
cmp_ok(scalar @{ $at{$_} }, '>', 350, "... many of them at variant $_") for 0, 1;
is(scalar keys %bytes, 1, '... and every one has the same bytes') or diag explain \%bytes;

my ($head) = map { $_->{head} } @{ $at{0} };
is($head, join("\r\n", 'POST /a%2Fb/../c//d%20e?x=%7E&y=a+b&& HTTP/1.1',
    'Host: Shop.Example:8443', 'Content-Length: 11', 'Accept: */*', 'X-Twice: one',
    'COOKIE: a=b; c="d"', 'X-Twice: two', 'X-Empty: ', 'User-Agent: caf' . "\xe9" . ' "quoted"',
    'Authorization: Basic dTpw', 'Referer: http://x/?a=b', 'X-Forwarded-For: 1.2.3.4', '', ''),
    'the head is the client\'s, but for its own connection');
is($at{0}[0]{body}, "\x00\x01\r\nbody\xff\xfe!", '... and so is the body');


# ---- methods ----------------------------------------------------------------

for my $method (qw(GET POST PUT PATCH DELETE OPTIONS PROPFIND MKCOL REPORT PURGE)) {
    forget();
    my $r = $gw->http($method => '/m?q=1', {}, $method =~ /^P|REPORT/ ? 'some text' : undef);
    my ($got) = heads();
    is($r->status, 200, $method);
    is("$got->{line}|$got->{body}", "$method /m?q=1 HTTP/1.1|"
        . ($method =~ /^P|REPORT/ ? 'some text' : ''), '... as it is');
}

all_on([ [ send => 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: "x"\r\n\r\n' ] ]);
my $r = $gw->http(HEAD => '/h');
is($r->status . $r->header('content-length') . $r->body, '2001234', 'HEAD');
for my $status (204, 304) {
    all_on([ [ send => "HTTP/1.1 $status No Body\\r\\nETag: \"x\"\\r\\n\\r\\n" ] ]);
    is($gw->http(GET => '/h')->status, $status, "no body with $status");
}


# ---- answers ----------------------------------------------------------------

all_on(answer('not here', [ header => 'Location: http://app_blue/x?y' ], [ header => 'X-Internal: 1' ],
    [ header => 'Set-Cookie: a=b; Path=/' ], [ header => 'Set-Cookie: c=d' ]));
$blue->on('/user/x' => [ [ status => '404 Gone fishing' ], [ header => 'Content-Type: text/weird' ], [ body => '<p>mine' ] ]);
$r = $gw->http(GET => '/user/');
is($r->header('location'), 'http://app_blue/x?y', 'Location is not rewritten');
is($r->header('set-cookie'), 'a=b; Path=/, c=d', 'cookies pass');
is($r->header('x-internal'), undef, 'proxy_hide_header of an outer level');
is($r->header('x-llm-variant'), 'blue', 'x-llm-variant');
like($r->header('x-llm-request-id'), qr/^[0-9a-f]{32}$/, 'x-llm-request-id');
is($r->header('x-request-id'), undef, '... and nothing that is the application\'s');
$r = $gw->http(GET => '/user/x');
is($r->status . $r->body . $r->header('content-type'), '404<p>minetext/weird', 'its errors are its own');
is($gw->http(GET => '/user/', { 'X-Variant' => 'green' })->header('x-llm-variant'), 'green', 'forced');
$r = $gw->http(GET => '/id/');
ok($r->header('x-llm-request-id') && !$r->header('x-llm-variant'), 'llm_response_headers id');
$r = $gw->http(GET => '/off/');
ok(!$r->header('x-llm-request-id') && !$r->header('x-llm-variant'), 'llm_response_headers off');


# ---- pages ------------------------------------------------------------------

$gw->expect_log(qr/connect\(\) failed/);
$r = $gw->http(GET => '/dead/');
is($r->status, 502, 'nobody there');
like($r->body, qr/<html>/, '... is a page of nginx');
is($r->header('x-llm-variant'), 'a', '... that says whose fault it is');
is($gw->http(GET => '/dead/page/')->body, 'a page of ours', 'error_page');
for my $p ([ '/deny/', 403 ], [ '/auth/', 401 ]) {
    $r = $gw->http(GET => $p->[0]);
    is($r->status, $p->[1], $p->[0]);
    like($r->body, qr/<html>/, '... is a page of nginx');
}
$r = $gw->http(POST => '/small/', {}, 'x' x 11);
is($r->status, 413, 'client_max_body_size');
like($r->body, qr/<html>/, '... is a page of nginx');
ok($gw->http(GET => '/mixed/deny/')->json, 'JSON where a variant is a route');
is($gw->http(GET => '/auth/', { Authorization => 'Basic dXNlcjpzZWNyZXQtcGFzcw==' })->status, 200, 'auth_basic lets in');


# ---- bodies -----------------------------------------------------------------

my $big = join '', map { pack 'N*', map { $_ * 2654435761 & 0xffffffff } $_ * 1000 .. $_ * 1000 + 999 } 1 .. 5000;
for my $way ([], [ chunked => 1 ]) {
    forget();
    all_on(answer('ok'));
    is($gw->http(POST => '/user/big', {}, $big, @$way, timeout => 60)->status, 200, "20 MB @$way");
    my $got = last_of($blue);
    is($got->{sha256}, Digest::SHA::sha256_hex($big), '... arrived');
    is($got->{h}{'content-length'} // 'none', @$way ? 'none' : length $big, '... framed as it came');
}

all_on([ [ 'early' ], [ send => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n' ],
    [ barrier => 'more' ], [ send => '3\r\nyou\r\n0\r\n\r\n' ] ]);
my $c = $gw->request(POST => '/user/both', {}, 'x' x 1000, hold => 600);
run_all(10, $c, sub { $c->body eq 'hello' });
is($c->body, 'hello', 'an answer begins before the request has ended');
$c->send_rest;
ok(run_all(10, $c, sub { last_of($blue)->{done} }), '... which goes on');
$_->release('more') for @up;
run_all(10, $c);
is($c->body . $c->complete, 'helloyou1', '... and so does the answer');

all_on([ [ send => 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst' ], [ barrier => 'eof' ], [ send => ' last' ], [ 'fin' ] ]);
$c = $gw->request(GET => '/user/eof');
run_all(10, $c, sub { $c->body eq 'first' });
is($c->body, 'first', 'an answer without length streams as well');
$_->release('eof') for @up;
run_all(10, $c);
is($c->body . $c->complete, 'first last1', '... to its end');


# ---- another protocol -------------------------------------------------------

my $ws = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gw->port, Timeout => 10) or die "connect: $!";
sub read_until {
    my ($enough) = @_;
    my $got = '';
    eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 20;
        while (!$enough->($got) && sysread $ws, my $data, 65536) { $got .= $data }
        alarm 0;
    };
    return $got;
}
syswrite $ws, join "\r\n", 'GET /talk/?room=1 HTTP/1.1', 'Host: ws.example', 'Sec-WebSocket-Key: abc',
    'Connection: keep-alive, Upgrade', 'Upgrade: WebSocket', '', '';
my $said = read_until(sub { $_[0] =~ /abc\r\n\r\n/ });
like($said, qr/^HTTP\/1.1 101 /, 'WebSocket');
like($said, qr/x-llm-variant: a\r\n/i, '... served by a variant');
like($said, qr/GET \/talk\/\?room=1 HTTP\/1.1\r\nHost: ws.example\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n/,
    '... asked for at the application');
for my $text ("\x81\x05hello", "\x82" . ("z" x 70000)) {
    syswrite $ws, $text;
    ok(read_until(sub { length $_[0] >= length $text }) eq $text, '... ' . length($text) . ' bytes there and back');
}
close $ws;

all_on(answer('plain'));
for my $h ([ 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AA' ], [ 'Upgrade: websocket' ], [ 'Connection: upgrade' ]) {
    forget();
    $gw->raw(join "\r\n", 'GET /user/ HTTP/1.0', @$h, '', '');
    $gw->raw(join "\r\n", 'GET /user/ HTTP/1.1', 'Host: x', @$h[0 .. $#$h - 1], 'Connection: close', $h->[-1], '', '');
    my @got = map { grep { /^(?:upgrade|connection)$/ } keys %{ $_->{h} } } heads();
    is("@got", '', "no upgrade for \"@$h\"");
}


# ---- connections ------------------------------------------------------------

forget();
my $before = $blue->connections;
$gw->http(GET => '/user/') for 1 .. 20;
is($blue->count, 20, '20 requests');
cmp_ok($blue->connections - $before, '<=', 1, '... over one connection');
$gw->raw("GET /user/ HTTP/1.0\r\n\r\n");
is(last_of($blue)->{h}{host}, 'fallback.example', 'without Host: the name of the server');
like($gw->http(GET => '/unix/a%2Fb?c', { Host => 'u.example' })->body, qr{^unix u\.example /unix/a%2Fb\?c$}, 'a unix socket');


# ---- proxy_... of the operator ----------------------------------------------

my $set = $gw->port('SET');
sub seen { my ($path, @more) = @_; forget(); $gw->http(GET => $path, { Host => 'Shop.Example:1', @more }, undef, port => $set); return last_of($blue) }

my $got = seen('/outer/');
is($got->{line}, 'GET /outer/ HTTP/1.0', 'proxy_http_version of an outer level');
is($got->{h}{host}, 'shop.example', '... its Host');
is($got->{h}{'x-outer'}, 'outer', '... its headers');
is(scalar(grep { lc $_->[0] eq 'host' } @{ $got->{headers} }), 1, '... once');

$got = seen('/inner/');
is($got->{line}, 'GET /inner/ HTTP/1.1', 'of the location itself');
is($got->{h}{'x-real-ip'}, '127.0.0.1', '... its headers');
is($got->{h}{connection}, 'close', '... instead of ours');
is($got->{h}{'x-outer'}, undef, '... and instead of outer ones, as for proxy_pass');
is($got->{h}{host}, 'Shop.Example:1', '... with ours where it has none');

$got = seen('/strip/', 'X-Secret' => 'x');
ok(!exists $got->{h}{'x-secret'}, 'a header taken away');
is($got->{method}, 'PUT', 'proxy_method');

sub here { my ($method, $path) = @_; forget(); my $r = $gw->http($method => $path); return (heads())[-1] }
is(here(GET => '/nested/other/x')->{path}, '/nested/other/x', 'a proxy_pass of its own inside');
is($green->count, 1, '... goes where it says');
is(last_of($green)->{h}{host}, 'localhost', '... with the same headers');
here(GET => '/if/?green=1');
is($green->count, 1, '"if" with a proxy_pass of its own');
is(last_of($green)->{h}{host}, 'localhost', '... with the same headers');
is($gw->http(GET => '/if/?set=1')->header('x-if'), 1, '"if" without');
for my $p ([ GET => '/if/?set=1' ], [ GET => '/limit/' ], [ POST => '/limit/' ]) {
    $got = here(@$p);
    is("$got->{line}|$got->{h}{host}", "@$p HTTP/1.1|localhost", "@$p: as outside");
}
is(here(GET => '/rewrite/a%20b?c=d')->{line}, 'GET /user/a%20b?c=d HTTP/1.1', 'rewrite');


# ---- a split of both kinds --------------------------------------------------

$blue->on('/*' => answer('legacy'));
forget();
my $text = to_json({ text => 'hello', other => [ 1 ] });
$r = $gw->http(POST => '/analyze', { 'X-Variant' => 'legacy', 'Content-Type' => 'text/x-strange', Cookie => 'a=b' }, $text);
is($r->body, 'legacy', 'the application answers');
$got = last_of($blue);
is("$got->{line}|$got->{body}|$got->{h}{'content-type'}|$got->{h}{cookie}", "POST /analyze HTTP/1.1|$text|text/x-strange|a=b", '... what the client asked');
$r = $gw->http(POST => '/analyze', { 'X-Variant' => 'new' }, $text);
is($r->status . $r->header('x-llm-variant') . $r->header('x-llm-provider'), '200newcanned', 'the route answers');
is($blue->count, 1, '... alone');
is($gw->http(GET => '/mixed/v1/anything', { 'X-Variant' => 'legacy' })->body, 'legacy', 'any path at the application');
is($gw->http(GET => '/mixed/v1/anything', { 'X-Variant' => 'new' })->header('x-llm-error'), 'caller_unknown_endpoint', '... not on a route');
my %by;
$by{ $gw->http(POST => '/analyze', {}, $text)->header('x-llm-variant') }++ for 1 .. 60;
ok($by{legacy} && $by{new} && $by{legacy} + $by{new} == 60, 'both have a share');

for my $name (qw(app mixed blue)) {
    is($gw->http(POST => '/variable/v1/chat/completions', { 'X-Name' => $name }, chat_body('m'))->header('x-llm-error'),
        'caller_model_not_found', "a name of the client does not reach \"$name\"");
}


# ---- HTTP/2 from the client -------------------------------------------------

SKIP: {
    my $curl = `curl -V 2>/dev/null`;
    skip 'no curl with HTTP/2', 2 unless $curl =~ /HTTP2/;
    all_on(answer('over h2'));
    forget();
    my $url = 'http://127.0.0.1:' . $gw->port('H2') . '/h2?x';
    is(`curl -s --http2-prior-knowledge -H 'Host: two.example' -d abc '$url'`, 'over h2', 'HTTP/2');
    $got = last_of($blue);
    is("$got->{line}|$got->{h}{host}|$got->{body}", 'POST /h2?x HTTP/1.1|two.example|abc', '... becomes HTTP/1.1');
}


# ---- mistakes ---------------------------------------------------------------

sub refused {
    my ($name, $re, $conf) = @_;
    my $bad = Test::LLM::Gateway->new(conf => '');
    my ($code, $out) = $bad->test_conf("llm_zone t:4m; $conf");
    isnt($code, 0, $name);
    like($out, $re, '... says why');
}
my $two = 'variant a http://127.0.0.1:1 50%; variant b http://127.0.0.1:2 50%;';
refused('proxy_pass beside llm_pass', qr/"proxy_pass" is duplicate beside "llm_pass" to applications in \S+:\d+/,
    "llm_split s { $two } server { listen 127.0.0.1:%%PORT%%; location / { proxy_pass http://127.0.0.1:3; llm_pass s; } }");
refused('a host that is not there', qr/host not found in upstream "no\.such\.invalid" in \S+:\d+/,
    'llm_split s { variant a http://no.such.invalid 50%; variant b http://127.0.0.1:2 50%; } server { listen 127.0.0.1:%%PORT%%; location / { llm_pass s; } }');
refused('a port that is none', qr/invalid port in upstream "127\.0\.0\.1:x"/,
    'llm_split s { variant a http://127.0.0.1:x 50%; variant b http://127.0.0.1:2 50%; }');
refused('a path behind a unix socket', qr/has a path/,
    'llm_split s { variant a http://unix:/tmp/x.sock:/path 50%; variant b http://127.0.0.1:2 50%; }');

finish();
