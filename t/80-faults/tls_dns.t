# Names and certificates: who may answer for a provider, and where it is.

use lib 't/lib';
use Test::LLM;

my ($ca, $other) = map { Test::LLM::Tls->new } 1, 2;
my %srv = (
    good    => Test::LLM::Upstream->new(tls => $ca->cert('api.test')),
    wrong   => Test::LLM::Upstream->new(tls => $ca->cert('evil.test')),
    unknown => Test::LLM::Upstream->new(tls => $other->cert('api.test')),
    plain   => Test::LLM::Upstream->new,
);
$_->on('/*' => ok_chat('fine')) for values %srv;
$srv{notls} = Test::LLM::Upstream->new;
$srv{notls}->on_connect([ [ raw => "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" ], 'fin' ]);

my $dns = Test::LLM::Dns->new('api.test' => [ '127.0.0.1' ], 'evil.test' => [ '127.0.0.1' ],
                              'spare.test' => [ '127.0.0.1' ]);
$dns->set('fail.test', rcode => 2);
$dns->set('mute.test', silent => 1);
$dns->set('empty.test');
$dns->set('two.test', addr => [ '127.0.0.77', '127.0.0.1' ]);      # nobody listens on the first
$dns->set('moving.test', addr => [ '127.0.0.1' ], ttl => 1);

my $gw = Test::LLM::Gateway->new(
    vars => { (map { (uc $_ => $srv{$_}->port) } keys %srv), CA => $ca->file, DNS => $dns->port },
    env => { KEY_A => 'sk-alpha-00001' }, conf => <<"EOC")->start;
    llm_zone t:8m;
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    resolver_timeout 700ms;
    @{[ map { my ($n, $u, $x) = @$_; "llm_provider $n { dialect openai; base_url $u; key env:KEY_A; breaker off; @{[ $x // '' ]} }\n" }
        [ 'good', 'https://api.test:%%GOOD%%/v1', 'ssl_trusted_certificate %%CA%%;' ],
        [ 'wrong', 'https://api.test:%%WRONG%%/v1', 'ssl_trusted_certificate %%CA%%;' ],
        [ 'named', 'https://api.test:%%WRONG%%/v1', 'ssl_trusted_certificate %%CA%%; ssl_name evil.test;' ],
        [ 'unknown', 'https://api.test:%%UNKNOWN%%/v1', 'ssl_trusted_certificate %%CA%%;' ],
        [ 'system', 'https://api.test:%%GOOD%%/v1' ],
        [ 'trusting', 'https://api.test:%%UNKNOWN%%/v1', 'ssl_verify off;' ],
        [ 'notls', 'https://api.test:%%NOTLS%%/v1', 'ssl_trusted_certificate %%CA%%;' ],
        [ 'nx', 'http://none.test:%%PLAIN%%/v1' ], [ 'fail', 'http://fail.test:%%PLAIN%%/v1' ],
        [ 'mute', 'http://mute.test:%%PLAIN%%/v1' ], [ 'empty', 'http://empty.test:%%PLAIN%%/v1' ],
        [ 'two', 'http://two.test:%%PLAIN%%/v1' ], [ 'moving', 'http://moving.test:%%PLAIN%%/v1', 'keepalive 1 timeout=100ms;' ],
        [ 'spare', 'http://spare.test:%%PLAIN%%/v1' ] ]}
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        @{[ map { "location /$_/ { llm_pass $_; }  location /$_-s/ { llm_pass $_ spare; }\n" } qw(good wrong named unknown system trusting notls nx fail mute empty two moving) ]}
    }
EOC

sub ask { my ($p, %o) = @_; return chat($gw, 'm', path => "/$p/v1/chat/completions", %o) }

is(ask('good')->status, 200, 'a provider behind TLS');
my ($q) = $srv{good}->received;
is($q->{h}{host}, 'api.test:' . $srv{good}->port, 'Host');
is(($srv{good}->connections)[0]{sni}, 'api.test', 'server name');
is(ask('named')->status, 200, 'ssl_name');
is(ask('trusting')->status, 200, 'ssl_verify off');
ask('good') for 1 .. 3;
is(scalar($srv{good}->connections), 1, 'the connection is kept');
$srv{good}->close_all;
ask('good');
ok(($srv{good}->connections)[-1]{reused}, 'a new connection resumes the TLS session');

for my $bad (qw(wrong unknown system notls nx fail mute empty)) {
    my $r = ask($bad);
    is($r->status, 502, "$bad: 502") or diag $r->wire;
    is($r->header('x-llm-error'), 'provider_unreachable', '... provider_unreachable');
    unlike($r->body, qr/127\.0\.0\.1|\.test|certificate/, '... the client learns no names');
    $r = ask("$bad-s");
    is($r->status, 200, '... the next target answers');
    cmp_ok($r->took, '<', 3, '... soon');
}
is(scalar(grep { $_->{key} } map { $srv{$_}->received } qw(unknown)), 1, 'no key was shown to an unverified provider (but to the one configured so)');
is(scalar($srv{wrong}->received), 1, '... nor to one with a wrong name');

is(ask('two')->status, 200, 'two addresses, one of them dead');
ask('two') for 1 .. 4;
is($gw->http(POST => '/two/v1/chat/completions', {}, chat_body('m'))->header('x-llm-attempts'), 1, '... one attempt');

# a name that moves
is(ask('moving')->status, 200, 'before a name moves');
$dns->set('moving.test', rcode => 3);
ok(wait_for(sub { ask('moving')->status == 502 }, 8), 'after its time to live it is asked for again');
$dns->set('moving.test', addr => [ '127.0.0.1' ], ttl => 1);
ok(wait_for(sub { ask('moving')->status == 200 }, 12), '... and found again');

# without a resolver, by an address in the configuration and by a unix socket: see 20-proxy
finish();
