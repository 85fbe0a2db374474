# Limits and budgets of who authenticated: per client, user and organisation, by
# lines of the configuration and by what their records say.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);

my $up = Test::LLM::Upstream->new;
my %key = map { $_ => "sk-llm-virtual-$_-000000000000" } qw(a b c d);

my $doc = {
    clients => [
        { id => 'a', key_sha256 => sha256_hex($key{a}), user => 'alice' },
        { id => 'b', key_sha256 => sha256_hex($key{b}), user => 'alice' },
        { id => 'c', key_sha256 => sha256_hex($key{c}), user => 'carol', org => 'acme' },
        { id => 'd', key_sha256 => sha256_hex($key{d}), limits => [ '2r/m', 'parallel=5' ], budgets => [ '1usd/d' ], user => 'dora', org => 'small' },
    ],
    users => [ { id => 'alice', org => 'acme' }, { id => 'dora', limits => [ '100r/m' ] } ],
    orgs  => [ { id => 'acme' }, { id => 'small', budgets => [ '0.2usd/d' ], limits => [ '1000t/h' ] } ],
};

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, secrets => [ values %key ],
    files => { 'clients.json' => to_json($doc) }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_clients clients.json;
    log_format llm '$llm_client|$llm_limited';
    access_log %%DIR%%/llm.log llm;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_model m { provider up; id m; price input=1000 output=2000; }
    llm_model n { provider up; id n; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /client/ { llm_auth on; llm_pass m; llm_limit per=client 2r/m; }
        location /user/   { llm_auth on; llm_pass m; llm_limit per=user 3r/m; }
        location /org/    { llm_auth on; llm_pass m; llm_limit per=org 4r/m; }
        location /open/   { llm_pass m; llm_limit per=client 1r/m; }
        location /record/ { llm_auth on; llm_pass $llm_model; }
        location /admin/  { llm_admin; }
    }
EOC

$up->on('/*' => ok_chat('x'));

sub ask {
    my ($where, $who, %o) = @_;
    return $gw->http(POST => "/$where/v1/chat/completions", $who ? { Authorization => "Bearer $key{$who}" } : {},
        chat_body(delete $o{model} || 'm', max_tokens => 3, %o));
}

sub statuses { my ($where, @who) = @_; return join ' ', map { ask($where, $_)->status } @who }

is(statuses('client', qw(a a a b b b)), '200 200 429 200 200 429', 'per client');
is(statuses('user', qw(a b a b c c)), '200 200 200 429 200 200', 'per user: two clients of one count together');
is(statuses('org', qw(a b c c c a)), '200 200 200 200 429 429', 'per organisation, also that of the user');
is(statuses('open', '', '', ''), '200 200 200', 'where nobody authenticates nobody is a client');


my $r = ask(record => 'd');
is($r->status, 200, 'a record with limits');
is($r->header('x-ratelimit-limit-requests'), 2, 'the tightest one is told');
is(ask(record => 'd')->status, 200, 'the second');
$r = ask(record => 'd');
is($r->status, 429, 'the third is one too many');
like($r->json->{error}{message}, qr/"client 2r\/m"/, 'whose rule it is');
is(ask(record => 'a')->status, 200, 'a record without limits');

$r = ask(record => 'd', model => 'n');
is($r->header('x-llm-error'), 'policy_price_unknown', 'a budget of a record needs a price');

my $of = $gw->get('/admin/limits?client=d')->json;
is(join('|', @$of{qw(client user org)}), 'd|dora|small', 'who it is');
my %rule = map { $_->{name} => $_ } @{ $of->{rules} };
is($rule{'client 2r/m'}{left}, 0, 'what the record says');
is($rule{'user 100r/m'}{left}, 98, '... of the user');
is($rule{'org 1000t/h'}{left}, 1000 - 28, '... of the organisation');
is(sprintf('%.3f', $rule{'org 0.2usd/d'}{left}), '0.166', '... its money');
is($rule{'user 3r/m'}{left}, 3, 'and what lines say');
is($gw->get('/admin/limits?client=nobody')->status, 404, 'nobody has nothing');

my %log = map { my ($n, $v) = split /\|/; ($n => $v) } grep { /^d\|/ } split /\n/, $gw->access('llm.log');
is($log{d}, '-', 'the last request of d was refused for its price');

finish();
