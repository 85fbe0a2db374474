# The fault server: each verb does what it says, seen through plain nginx or
# directly.

use lib 't/lib';
use Test::LLM;
use Digest::SHA qw(sha256_hex);
use Socket ();

my $up = Test::LLM::Upstream->new;

sub direct {
    my ($path, $body, %o) = @_;
    my $c = Test::LLM::Client->start(port => $up->port, path => $path,
        method => defined $body ? 'POST' : 'GET', body => $body,
        headers => $o{headers} || {}, keep => $o{keep});
    Test::LLM::Client::run($o{timeout} || 5, $c);
    return $c;
}

$up->on('/x' => "json {\"a\":\"{{model}}\"}", "status 503 Gone away\nheader Retry-After: 7\nbody oops");
my $r = direct('/x', '{"model":"m-1"}', headers => { Authorization => 'Bearer k1' });
is($r->body, '{"a":"m-1"}', 'json, with the model filled in');
$r = direct('/x');
is($r->status, 503, 'the second request gets the second script');
is($r->header('retry-after'), 7, 'header');
is($r->body, 'oops', 'body');
$r = direct('/x');
is($r->status, 503, 'the last script repeats');

my @seen = $up->received;
is(scalar @seen, 3, 'three requests recorded');
is($seen[0]{body}, '{"model":"m-1"}', 'body recorded');
is($seen[0]{key}, 'k1', 'key recorded');
is($seen[0]{sha256}, sha256_hex('{"model":"m-1"}'), 'digest recorded');
is($seen[0]{h}{host}, 'localhost', 'headers recorded');
isnt($seen[0]{conn}, $seen[1]{conn}, 'connections told apart');

# rules by key and by model
$up->on('/k*' => reply(200, {}, 'any'));
$up->on({ key => 'gold' } => reply(200, {}, 'gold'));
$up->on({ model => 'm-2' } => reply(200, {}, 'two'));
is(direct('/k/1', '{"model":"m-2"}')->body, 'two', 'by model');
is(direct('/k/1', '{}', headers => { Authorization => 'Bearer gold' })->body,
   'gold', 'by key');
is(direct('/k/1', '{}')->body, 'any', 'by prefix');

# faults
$up->on('/rst' => 'rst');
is(direct('/rst')->error, 'reset', 'rst');
$up->on('/fin' => 'fin');
is(direct('/fin')->error, 'closed', 'fin');
$up->on('/cut' => [ [ event => '{"a":1}' ], 'rst' ]);
$r = direct('/cut');
ok(!$r->complete, 'reset inside the body');
$up->on('/hang' => 'hang');
is(direct('/hang', undef, timeout => 0.2)->error, 'timeout', 'hang');
$up->on('/garbage' => "send SSH-2.0-x\\r\\n\nfin");
like(direct('/garbage')->wire . '', qr/^SSH-2\.0-x\r\n$/, 'send');
$up->on('/hex' => "send-hex 48 54\nfin");
is(direct('/hex')->wire, 'HT', 'send-hex');
$up->on('/file' => [ [ 'http-file', fixture('openai/error.429-rate-limit-requests.http') ] ]);
$r = direct('/file');
is($r->status, 429, 'http-file');
is($r->header('retry-after-ms'), 1480, '... with its headers');
$up->on('/repeat' => [ [ repeat => '3 event {"x":1}' ] ]);
is(scalar(Test::LLM::Sse::events(direct('/repeat'))), 3, 'repeat');

# slices and their times
$up->on('/slow' => [ [ slice => '40 30' ],
                     [ 'sse-file', fixture('openai/chat.stream.sse') ] ]);
$r = direct('/slow');
my @events = Test::LLM::Sse::events($r);
ok(Test::LLM::Sse::done(@events), 'sliced stream ends with [DONE]');
cmp_ok($events[-1]{at} - $events[0]{at}, '>', 0.2, 'slices are spread in time');
is($r->body, fixture_text('openai/chat.stream.sse'), 'slices add up');

for my $file (qw(crlf cr nospace)) {
    my @e = Test::LLM::Sse::events(fixture_text("openai/chat.stream.$file.sse"));
    is(Test::LLM::Sse::text(@e), Test::LLM::Sse::text(@events), "reader: $file");
}

is(scalar(Test::LLM::Sse::events("event: a\r\ndata: 1\r\n\r\n: x\r\n\r\ndata: 2\r\n\r\n")), 2,
   'reader: an event of two lines ended by CRLF is one event');

# barriers
$up->on('/gate' => [ [ barrier => 'go' ], [ body => 'went' ] ]);
my $c = Test::LLM::Client->start(port => $up->port, path => '/gate');
ok(wait_for(sub { $up->waiting('go') }), 'a connection stands at the barrier');
$up->release('go');
Test::LLM::Client::run(5, $c);
is($c->body, 'went', 'the barrier opens');

# an answer before the body, and nobody reading
$up->on('/early' => [ 'early', 'stop-reading', @{ reply(413, {}, 'no') }, 'hang' ]);
$c = Test::LLM::Client->start(port => $up->port, path => '/early',
    method => 'POST', body => 'x' x 30_000_000);
Test::LLM::Client::run(5, $c);
is($c->status, 413, 'early answer');

# a client that goes away is seen
$up->on('/gone' => [ [ barrier => 'never' ] ]);
$c = Test::LLM::Client->start(port => $up->port, path => '/gone');
Test::LLM::Client::run(5, $c, sub { $up->waiting('never') });
$c->abort;
ok(wait_for(sub { (grep { $_->{gone} } $up->received('/gone')) }),
   'a peer that went away is recorded');

# keepalive, chunked requests
my $keep = Test::LLM::Client->start(port => $up->port, keep => 1, raw =>
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    . "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
Test::LLM::Client::run(5, $keep);
is(($up->received('/x'))[-1]{body}, 'abcde', 'chunked request body');

# per connection
my $bad = Test::LLM::Upstream->new;
$bad->on_connect('rst', []);
$bad->on('/*' => reply(200, {}, 'fine'));
my @two = map {
    my $x = Test::LLM::Client->start(port => $bad->port, path => '/');
    Test::LLM::Client::run(5, $x);
    $x;
} 1, 2;
is($two[0]->error, 'reset', 'first connection reset');
is($two[1]->body, 'fine', 'second one served');

# TLS, through nginx
my $ca = Test::LLM::Tls->new;
my $tls = Test::LLM::Upstream->new(tls => $ca->cert('good.test'));
$tls->on('/*' => reply(200, {}, 'secure'));
my $gw = Test::LLM::Gateway->new(module => 0, vars => { UP => $tls->port,
    CA => $ca->file }, conf => <<'EOC')->start;
    server {
        listen 127.0.0.1:%%PORT%%;
        proxy_ssl_trusted_certificate %%CA%%;
        proxy_ssl_verify on;
        proxy_ssl_server_name on;
        location /good { proxy_ssl_name good.test; proxy_pass https://127.0.0.1:%%UP%%; }
        location /bad  { proxy_ssl_name bad.test;  proxy_pass https://127.0.0.1:%%UP%%; }
    }
EOC
is($gw->get('/good')->body, 'secure', 'TLS');
is($gw->get('/bad')->status, 502, 'TLS, wrong name');
is(($tls->connections)[0]{sni}, 'good.test', 'server name recorded');

# names
my $plain = Test::LLM::Upstream->new;
$plain->on('/*' => reply(200, {}, 'named'));
my $dns = Test::LLM::Dns->new('api.test' => [ '127.0.0.1' ]);
$gw = Test::LLM::Gateway->new(module => 0, vars => { UP => $plain->port,
    DNS => $dns->port }, conf => <<'EOC')->start;
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { set $h $arg_h; proxy_pass http://$h:%%UP%%; }
    }
EOC
is($gw->get('/?h=api.test')->body, 'named', 'name server stub');
is($gw->get('/?h=none.test')->status, 502, 'NXDOMAIN');
is($dns->queries('api.test'), 1, 'queries counted');

# nobody home
my ($hole, @keep_hole) = black_hole();
my $slow = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $hole,
    Timeout => 0.3);
ok(!$slow, 'a black hole takes no connection');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => silent_port()),
   'a silent port refuses');

# many at once
$plain->on('/many' => [ [ event => '{"a":1}' ], [ barrier => 'all' ],
                        [ event => '[DONE]' ] ]);
my @many = map { Test::LLM::Client->start(port => $plain->port, path => '/many') } 1 .. 300;
Test::LLM::Client::run(20, @many, sub { $plain->waiting('all') == 300 });
$plain->release('all');
Test::LLM::Client::run(20, @many);
is(scalar(grep { $_->complete } @many), 300, '300 streams side by side');

finish();
